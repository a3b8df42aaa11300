/** The states of a participant of ours, and the picture of them in docs/architecture.md. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LocalParticipant } from '../../homeserver/meetings/conference/local-participant.ts';
import type { Notifier } from '../../homeserver/meetings/conference/notification.ts';
import { type ParticipantState, TRANSITIONS } from '../../homeserver/meetings/conference/participant-state.ts';

const session = (attached = true): Notifier => ({
  notify: () => undefined,
  tell: () => undefined,
  attached,
  ended: false,
});

describe('A participant of ours', () => {
  let released: number;
  let graceEnded: number;
  const hold = { release: () => (released += 1) };

  beforeEach(() => {
    released = 0;
    graceEnded = 0;
  });

  function participant(state: ParticipantState): LocalParticipant {
    return new LocalParticipant({
      participantId: '@anna:luebeck.example|PHONE',
      userId: '@anna:luebeck.example',
      deviceId: 'PHONE',
      guest: false,
      displayName: 'Anna',
      joinedAt: 1,
      state,
    });
  }
  const entering = (): LocalParticipant =>
    participant({ kind: 'entering', hold, notifier: session(), membership: 'unwritten' });
  const restored = (): LocalParticipant =>
    participant({ kind: 'reconnecting', hold, notifier: undefined, endGrace: () => (graceEnded += 1) });

  it('goes through the states that the picture in docs/architecture.md shows, and no others', () => {
    const docs = readFileSync(join(import.meta.dirname, '../../docs/architecture.md'), 'utf8');
    const picture = /stateDiagram-v2\n\s+\[\*\] --> entering[\s\S]*?```/.exec(docs)?.[0] ?? '';
    const shown = [...picture.matchAll(/^\s+(\w+) --> (\w+): (\w+)$/gm)].map(([, from, to, name]) =>
      [name, from, to].join(' '),
    );
    const table = Object.entries(TRANSITIONS).flatMap(([name, leads]) =>
      Object.entries(leads).map(([from, to]) => [name, from, to].join(' ')),
    );
    expect(shown.sort()).toEqual(table.sort());
    expect(shown.length).toBeGreaterThan(5);
  });

  it('enters, and is here when its client is connected', () => {
    const local = entering();
    expect([local.state.kind, local.isSeated, local.isWritten]).toEqual(['entering', true, false]);
    local.writing();
    expect(local.isWritten).toBeTrue();
    local.arrive(true);
    expect([local.state.kind, local.presence]).toEqual(['here', 'here']);
  });

  it('enters as somebody who is reconnecting when the client is gone by then', () => {
    const local = entering();
    local.arrive(false);
    expect([local.state.kind, local.presence]).toEqual(['reconnecting', 'reconnecting']);
  });

  it('drops and comes back', () => {
    const local = entering();
    local.arrive(true);
    local.arrive(false);
    expect(local.state.kind).toBe('reconnecting');
    local.arrive(true);
    expect(local.state.kind).toBe('here');
  });

  it('is taken over by another session, here or reconnecting', () => {
    const local = entering();
    local.arrive(true);
    const other = session();
    local.takeOver(other);
    expect(local.state).toEqual({ kind: 'here', hold, notifier: other });
    local.arrive(false);
    const third = session();
    local.takeOver(third);
    expect(local.state).toEqual({ kind: 'reconnecting', hold, notifier: third });
  });

  it('waits for its client after a restart, and no longer once a session has it', () => {
    const local = restored();
    expect([local.presence, local.notifier, local.isWritten]).toEqual(['reconnecting', undefined, true]);
    local.takeOver(session());
    expect(graceEnded).toBe(1);
    expect(local.leave()).toBe(hold);
    expect(graceEnded).toBe(1);
  });

  it('does not wait for its client any more when it is taken out', () => {
    const local = restored();
    local.leave();
    expect(graceEnded).toBe(1);
    expect(local.state).toEqual({ kind: 'leaving' });
  });

  it('leaves once, and is gone when that is written', () => {
    const local = entering();
    local.writing();
    expect(local.leave()).toBe(hold);
    expect(local.state).toEqual({ kind: 'leaving' });
    expect(local.leave()).toBeUndefined();
    local.end();
    expect(local.state).toEqual({ kind: 'gone' });
    expect([local.isSeated, local.isWritten, local.notifier]).toEqual([false, false, undefined]);
  });

  it('is gone at once when nothing of it was written', () => {
    const local = entering();
    expect(local.leave()).toBe(hold);
    expect(local.state).toEqual({ kind: 'gone' });
  });

  it('does not come back from where it has left, whatever is still under way', () => {
    const local = entering();
    local.writing();
    local.leave();
    local.arrive(true);
    local.takeOver(session());
    local.writing();
    expect(local.state).toEqual({ kind: 'leaving' });
    local.end();
    local.arrive(true);
    local.end();
    expect(local.state).toEqual({ kind: 'gone' });
  });

  it('has other media after it has lost what it had', () => {
    const local = entering();
    const { media } = local;
    media.send = 's';
    media.receive = 'r';
    media.sources.set('microphone', { producerId: 'p', paused: false });
    expect([media.has('s'), media.has('r'), media.has('x'), media.transports]).toEqual([true, true, false, ['s', 'r']]);
    local.forgetMedia();
    expect(local.media).not.toBe(media);
    expect([local.sources.size, local.media.transports.length]).toEqual([0, 0]);
  });
});
