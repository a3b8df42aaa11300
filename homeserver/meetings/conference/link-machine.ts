/**
 * The states of a link, and how one follows from another: a pure function, which link-run.ts carries out. The picture is in
 * docs/federation.md.
 *
 * A link is replaced make before break: `old` is the link that everything crosses until the new one carries it. It ends
 * when neither side receives anything over it any more, at the latest with the time limit.
 */
import {
  type Effect,
  type Hop,
  type LinkEvent,
  linksOf,
  type OldLink,
  type Phase,
  type Side,
  type Step,
} from './link-phase.ts';

/** A peer that asks for a new link all the time gets one no more often than this, in ms. */
export const REOPEN_GAP_MS = 1_000;
/** A link whose media has been silent for this long is opened anew, in ms. */
export const REOPEN_AFTER_MS = 8_000;
/** The side that does not open the link asks for it after this time, in ms. */
export const PATIENCE_MS = 3_000;
/** A link that is being replaced ends after this time, whatever the new one carries, in ms. */
export const REPLACE_WITHIN_MS = 10_000;

export function transition(side: Side, phase: Phase, event: LinkEvent): Step {
  if (phase.name === 'closed') return late(phase, event);
  switch (event.type) {
    case 'accepted':
      // It has been taken already.
      return linksOf(phase).includes(event.linkId) ? to(phase) : step(side, phase, event);
    case 'stopped':
      return to({ name: 'closed' });
    case 'closed':
      return close(phase);
    case 'media-lost':
      return phase.name === 'idle' ? to(phase) : lost(linksOf(phase), 'soon');
    case 'restored':
      return to(
        { name: 'up', linkId: event.linkId, silent: false },
        ...closing(linksOf(phase).filter((linkId) => linkId !== event.linkId)),
      );
    default:
      return step(side, phase, event);
  }
}

function step(side: Side, phase: Phase, event: LinkEvent): Step {
  switch (phase.name) {
    case 'idle':
      return idle(side, phase, event);
    case 'waiting':
      return waiting(side, phase, event);
    case 'opening':
      return opening(side, phase, event);
    case 'connecting':
      return connecting(side, phase, event);
    case 'up':
      return up(side, phase, event);
    case 'replacing':
      return replacing(side, phase, event);
    default:
      return to(phase);
  }
}

type In<N extends Phase['name']> = Extract<Phase, { name: N }>;

function idle(side: Side, phase: In<'idle'>, event: LinkEvent): Step {
  switch (event.type) {
    case 'needed':
      if (side === 'opens') return open(event.fresh);
      return to({ name: 'waiting', old: undefined }, { do: 'start', timer: 'retry', after: PATIENCE_MS });
    case 'asked':
      return side === 'opens' ? open(event.fresh) : to(phase);
    case 'accepted':
      return connect(event.linkId);
    case 'accept-failed':
      return to(phase, { do: 'show', state: 'interrupted', hop: event.hop });
    default:
      return late(phase, event);
  }
}

function waiting(side: Side, phase: In<'waiting'>, event: LinkEvent): Step {
  const { old } = phase;
  switch (event.type) {
    case 'due':
      if (event.timer !== 'retry') return to(phase);
      if (side === 'opens') return open(event.fresh, old);
      return to(phase, { do: 'ask' }, { do: 'start', timer: 'retry', after: 'back-off' });
    case 'accepted':
      return connect(event.linkId, old);
    case 'accept-failed':
      return old ? to(phase) : to(phase, { do: 'show', state: 'interrupted', hop: event.hop });
    case 'heard':
      return event.linkId === old?.linkId ? to({ name: 'up', linkId: old.linkId, silent: false }) : to(phase);
    case 'released':
      return to({ ...phase, old: released(old, event.linkId) });
    case 'gone':
      // The timer for the next attempt runs already.
      if (event.linkId !== old?.linkId) return to(phase);
      return to({ name: 'waiting', old: undefined }, ...ending(old.linkId));
    default:
      return late(phase, event);
  }
}

function opening(side: Side, phase: In<'opening'>, event: LinkEvent): Step {
  const { linkId, old, other } = phase;
  switch (event.type) {
    case 'opened':
      if (event.linkId !== linkId) break;
      return to({ name: 'connecting', linkId, old }, ...closing(idsOf(other)), { do: 'connect', linkId });
    case 'open-failed':
      if (event.linkId !== linkId) break;
      if (other !== undefined) return to({ name: 'connecting', linkId: other, old }, { do: 'close', linkId });
      return again(old, [{ do: 'close', linkId }], event.hop);
    case 'accepted':
      // Both have opened one at once: that of the side that opens links counts, on both sides.
      if (side === 'waits') return connect(event.linkId, old, [linkId, ...idsOf(other)]);
      if (old) return to(phase, { do: 'close', linkId: event.linkId });
      return to({ ...phase, other: event.linkId }, ...closing(idsOf(other)), { do: 'connect', linkId: event.linkId });
    case 'connected':
      if (event.linkId !== other) break;
      return to({ ...phase, old: inUse(other), other: undefined }, { do: 'use', linkId: other });
    case 'connect-failed':
      if (event.linkId !== other) break;
      return to({ ...phase, other: undefined }, { do: 'close', linkId: other });
    case 'released':
      return to({ ...phase, old: released(old, event.linkId) });
    case 'gone':
      if (event.linkId === other) return to({ ...phase, other: undefined }, { do: 'close', linkId: other });
      if (event.linkId !== old?.linkId) return to(phase);
      return to({ ...phase, old: undefined }, ...ending(old.linkId));
    default:
      break;
  }
  return late(phase, event);
}

function connecting(side: Side, phase: In<'connecting'>, event: LinkEvent): Step {
  const { linkId, old } = phase;
  switch (event.type) {
    case 'connected':
      if (event.linkId !== linkId) break;
      if (!old) return to({ name: 'up', linkId, silent: false }, { do: 'use', linkId });
      return to(
        { name: 'replacing', linkId, old, moved: false },
        { do: 'start', timer: 'limit', after: REPLACE_WITHIN_MS },
        { do: 'change-over', linkId },
      );
    case 'connect-failed':
      if (event.linkId !== linkId) break;
      return again(old, [{ do: 'close', linkId }], 'media');
    case 'accepted':
      return connect(event.linkId, old, [linkId]);
    case 'asked':
      return askedAgain(side, phase, event, () => open(event.fresh, old, closing([linkId])));
    case 'due':
      return side === 'opens' ? open(event.fresh, old, closing([linkId])) : to(phase);
    case 'released':
      return to({ ...phase, old: released(old, event.linkId) });
    case 'gone':
      if (event.linkId === linkId) return again(old, [{ do: 'close', linkId }]);
      if (event.linkId !== old?.linkId) return to(phase);
      return to({ ...phase, old: undefined }, ...ending(old.linkId));
    default:
      break;
  }
  return late(phase, event);
}

function up(side: Side, phase: In<'up'>, event: LinkEvent): Step {
  const { linkId, silent } = phase;
  switch (event.type) {
    case 'accepted':
      return connect(event.linkId, inUse(linkId));
    case 'asked':
      return askedAgain(side, phase, event, () => open(event.fresh, inUse(linkId)));
    case 'due':
      if (side === 'opens') return open(event.fresh, inUse(linkId));
      return to(phase, { do: 'ask' }, { do: 'start', timer: 'silence', after: REOPEN_AFTER_MS });
    case 'silent':
      if (event.linkId !== linkId || silent) return to(phase);
      return to({ ...phase, silent: true }, { do: 'start', timer: 'silence', after: REOPEN_AFTER_MS });
    case 'heard':
      if (event.linkId !== linkId || !silent) return to(phase);
      return to({ ...phase, silent: false }, { do: 'stop', timer: 'silence' });
    case 'gone':
      return event.linkId === linkId ? lost([linkId], 'back-off') : to(phase);
    default:
      return late(phase, event);
  }
}

function replacing(side: Side, phase: In<'replacing'>, event: LinkEvent): Step {
  const { linkId, old, moved } = phase;
  const done = to({ name: 'up', linkId, silent: false }, { do: 'close', linkId: old.linkId });
  /** Without waiting for what has not changed over. */
  const cut: Effect[] = [{ do: 'finish' }, { do: 'close', linkId: old.linkId }];
  switch (event.type) {
    case 'moved': {
      if (event.linkId !== linkId || moved) return to(phase);
      const release: Effect = { do: 'release', linkId: old.linkId };
      if (!old.released) return to({ ...phase, moved: true }, release);
      return to(done.phase, release, ...done.effects);
    }
    case 'released':
      if (event.linkId !== old.linkId) return to(phase);
      return moved ? done : to({ ...phase, old: { ...old, released: true } });
    case 'due':
      if (event.timer === 'limit') return to(done.phase, ...cut);
      return side === 'opens' ? open(event.fresh, inUse(linkId), cut) : to(phase);
    case 'accepted':
      return connect(event.linkId, inUse(linkId), [], cut);
    case 'asked':
      return askedAgain(side, phase, event, () => open(event.fresh, inUse(linkId), cut));
    case 'gone':
      if (event.linkId === linkId) return lost([linkId, old.linkId], 'back-off');
      // An older build closes the old link at once.
      return event.linkId === old.linkId ? to(done.phase, ...cut) : to(phase);
    default:
      return late(phase, event);
  }
}

// ---- steps that several phases have ----

function open(linkId: string, old?: OldLink, before: readonly Effect[] = []): Step {
  return to({ name: 'opening', linkId, old, other: undefined }, ...before, { do: 'open', linkId });
}

/** @param instead links that were on their way */
function connect(linkId: string, old?: OldLink, instead: readonly string[] = [], before: readonly Effect[] = []): Step {
  return to({ name: 'connecting', linkId, old }, ...before, ...closing(instead), { do: 'connect', linkId });
}

/** An attempt has failed: there will be another one. What crosses the old link goes on. */
function again(old: OldLink | undefined, effects: readonly Effect[], hop?: Hop): Step {
  const shown: Effect = hop ? { do: 'show', state: 'interrupted', hop } : { do: 'show', state: 'connecting' };
  const retry: Effect = { do: 'start', timer: 'retry', after: 'back-off' };
  return to({ name: 'waiting', old }, ...effects, ...(old ? [] : [shown]), retry);
}

/** There is no link now, and there will be another one. */
function lost(ids: readonly string[], after: 'back-off' | 'soon'): Step {
  return to(
    { name: 'waiting', old: undefined },
    { do: 'forget' },
    ...closing(ids),
    { do: 'show', state: 'connecting' },
    { do: 'start', timer: 'retry', after },
  );
}

/** The peer asks for another link than the one that there is: bounded, and the business of the side that opens. */
function askedAgain(side: Side, phase: Phase, { waitMs }: { waitMs: number }, now: () => Step): Step {
  if (side === 'waits') return to(phase);
  return waitMs <= 0 ? now() : to(phase, { do: 'start', timer: 'gap', after: waitMs });
}

function close(phase: Phase): Step {
  const ids = linksOf(phase);
  const told = ids.map((linkId): Effect => ({ do: 'tell-closed', linkId }));
  return to({ name: 'closed' }, { do: 'forget' }, ...closing(ids), ...told);
}

/** What comes for a link that is not on its way any more changes nothing, and is put away. */
function late(phase: Phase, event: LinkEvent): Step {
  if ('linkId' in event && linksOf(phase).includes(event.linkId)) return to(phase);
  switch (event.type) {
    case 'opened':
      return to(phase, { do: 'close', linkId: event.linkId }, { do: 'tell-closed', linkId: event.linkId });
    case 'accepted':
    case 'open-failed':
    case 'connected':
    case 'connect-failed':
      return to(phase, { do: 'close', linkId: event.linkId });
    default:
      return to(phase);
  }
}

function to(phase: Phase, ...effects: Effect[]): Step {
  return { phase, effects };
}

function closing(ids: readonly string[]): Effect[] {
  return ids.map((linkId) => ({ do: 'close', linkId }));
}

/** The link that everything crosses has ended, while another one is on its way. */
function ending(linkId: string): Effect[] {
  return [{ do: 'forget' }, { do: 'close', linkId }, { do: 'show', state: 'connecting' }];
}

function idsOf(linkId: string | undefined): string[] {
  return linkId === undefined ? [] : [linkId];
}

function inUse(linkId: string): OldLink {
  return { linkId, released: false };
}

function released(old: OldLink | undefined, linkId: string): OldLink | undefined {
  return old?.linkId === linkId ? { ...old, released: true } : old;
}
