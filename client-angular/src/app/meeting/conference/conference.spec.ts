import { TestBed } from '@angular/core/testing';
import { provideRouter, Router, withComponentInputBinding } from '@angular/router';
import { RouterTestingHarness } from '@angular/router/testing';
import type { LinkState, Participant } from '../../../../../protocol/session.ts';
import { person, snapshotOf } from '../../conference/snapshot-for-specs.ts';
import { PeopleView } from '../../conference/people-view.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { Auth } from '../../core/auth.ts';
import { LocalMedia } from '../../media/local-media.ts';
import { Clock } from './clock.ts';
import { Conference } from './conference.ts';
import { ControlBar } from './control-bar.ts';
import { MEETING_PROVIDERS } from '../meeting-routes.ts';
import { initials } from './initials.ts';
import { Panels } from './panels.ts';
import { PeoplePanel } from './people-panel.ts';
import { Stage } from './stage.ts';

const bert = person('bert', 'luebeck.example');
const anna = person('anna', 'hamburg.example', {
  joinedAt: 2,
  sources: [{ source: 'camera', paused: false }],
});

function enter(participants: Participant[] = [bert, anna]): ConferenceStore {
  const store = TestBed.inject(ConferenceStore);
  const links: LinkState[] = [{ organisation: 'hamburg.example', state: 'connecting', since: Date.now() }];
  store.load(snapshotOf({ rights: ['invite'], participants, links }));
  return store;
}

function find(root: unknown, selector: string): HTMLElement {
  const found = (root as HTMLElement).querySelector<HTMLElement>(selector);
  if (!found) throw new Error(`${selector} is not there`);
  return found;
}

describe('The stage', () => {
  const tile = (root: unknown, of: Participant): HTMLElement =>
    find(root, `[data-testid=tile][data-participant-id="${of.participantId}"]`);

  function stage() {
    TestBed.configureTestingModule({ providers: [Clock, MEETING_PROVIDERS] });
    const store = enter();
    const fixture = TestBed.createComponent(Stage);
    fixture.detectChanges();
    return { store, fixture, root: fixture.nativeElement as HTMLElement };
  }

  it('says which organisation a picture is awaited from, and that the own camera is off', () => {
    const { root } = stage();
    expect(tile(root, anna).dataset['state']).toBe('connecting');
    expect(tile(root, anna).textContent).toContain('Connecting to Hamburg');
    expect(tile(root, bert).dataset['state']).toBe('camera-off');
  });

  it('says that a link is interrupted, and marks who speaks, without moving anybody', async () => {
    const { root, store, fixture } = stage();
    store.apply('link.changed', { organisation: 'hamburg.example', state: 'interrupted', since: Date.now() - 4_000 });
    store.apply('speaking', { participantIds: [anna.participantId] });
    await fixture.whenStable();
    fixture.detectChanges();
    expect(tile(root, anna).dataset['state']).toBe('interrupted');
    expect(tile(root, anna).textContent).toContain('Hamburg not reachable since');
    expect(tile(root, anna).dataset['speaking']).toBe('true');
    const order = [...root.querySelectorAll<HTMLElement>('[data-testid=tile]')].map(
      (one) => one.dataset['participantId'],
    );
    expect(order).toEqual([bert.participantId, anna.participantId]);
  });

  it('gives a shared screen a tile of its own', () => {
    const { root, store, fixture } = stage();
    store.apply('participant.changed', { ...anna, sources: [{ source: 'screen', paused: false }] });
    fixture.detectChanges();
    expect(find(root, '[data-source=screen]').getAttribute('aria-label')).toBe(
      'Screen of \u2068anna\u2069, \u2068Hamburg\u2069',
    );
  });
});

describe('The control bar', () => {
  beforeEach(() => TestBed.configureTestingModule({ providers: [MEETING_PROVIDERS, Panels] }));
  afterEach(() => TestBed.inject(LocalMedia).release());

  it('releases the microphone when it is muted and says so to everybody who looks or listens', async () => {
    const media = TestBed.inject(LocalMedia);
    await media.turn('microphone', true);
    const { track } = media.microphone();
    const fixture = TestBed.createComponent(ControlBar);
    fixture.detectChanges();
    const mute = find(fixture.nativeElement, '[data-testid=mute]');
    expect(mute.getAttribute('aria-pressed')).toBe('true');
    mute.click();
    await fixture.whenStable();
    fixture.detectChanges();
    expect(track?.readyState).toBe('ended');
    expect(mute.getAttribute('aria-pressed')).toBe('false');
  });

  it('keeps its order, with leaving at the end', () => {
    const fixture = TestBed.createComponent(ControlBar);
    fixture.componentRef.setInput('panels', TestBed.inject(Panels).all());
    fixture.detectChanges();
    const order = [...(fixture.nativeElement as HTMLElement).querySelectorAll('button')].map(
      (button) => button.dataset['testid'],
    );
    const expected = ['mute', 'camera', 'share', 'chat-toggle', 'people-toggle', 'connections-toggle', 'leave'];
    expect(order).toEqual(expected);
  });
});

describe('The people panel', () => {
  beforeEach(() => TestBed.configureTestingModule({ providers: [MEETING_PROVIDERS, PeopleView] }));
  it('lists everybody under the organisation, with what they send', () => {
    enter();
    const fixture = TestBed.createComponent(PeoplePanel);
    fixture.detectChanges();
    const row = find(fixture.nativeElement, `[data-participant-id="${anna.participantId}"]`);
    expect(row.closest('section')?.querySelector('h3')?.textContent).toContain('Hamburg');
    expect(row.textContent).toContain('camera on');
    expect(row.textContent).toContain('microphone off');
  });
});

describe('The conference', () => {
  it('sends whoever did not come through the lobby there: nothing is sent without "Join"', async () => {
    TestBed.configureTestingModule({
      providers: [
        MEETING_PROVIDERS,
        provideRouter(
          [
            { path: 'meeting/:roomId/lobby', children: [] },
            { path: 'meeting/:roomId', component: Conference },
          ],
          withComponentInputBinding(),
        ),
      ],
    });
    TestBed.inject(Auth);
    const harness = await RouterTestingHarness.create();
    await harness.navigateByUrl('/meeting/!r').catch(() => undefined);
    for (let tries = 0; tries < 100 && !TestBed.inject(Router).url.endsWith('/lobby'); tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(TestBed.inject(Router).url).toBe('/meeting/!r/lobby');
  });
});

describe('Initials', () => {
  it('are the first letters of the first and the last name', () => {
    expect(initials('Anna-Sophie von Lüneburg')).toBe('AL');
    expect(initials('bert')).toBe('B');
    expect(initials('  ')).toBe('?');
    expect(initials('(Änne) 2')).toBe('Ä');
  });
});
