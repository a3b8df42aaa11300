import { ChangeDetectionStrategy, Component, computed, signal } from '@angular/core';
import { TestBed } from '@angular/core/testing';
import { ConferenceClient } from '../../conference/conference-client.ts';
import { MEETING_MODULES, type MeetingModule } from '../../conference/meeting-module.ts';
import { Modules } from '../../conference/modules.ts';
import { HAMBURG, person } from '../../conference/snapshot-for-specs.ts';
import { PeopleView } from '../../conference/people-view.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { ControlBar } from './control-bar.ts';
import { Panels } from './panels.ts';
import { PeoplePanel } from './people-panel.ts';
import { SidePanel } from './side-panel.ts';

const DOT = 'M12 12v.1';

@Component({
  selector: 'ht-sample-panel',
  changeDetection: ChangeDetectionStrategy.OnPush,
  template: '<textarea data-testid="sample-field"></textarea>',
})
class SamplePanel {}

const anna = person('Anna', HAMBURG.serverName);

describe('The module seam of the client', () => {
  const on = signal(true);
  const off = signal(false);
  const unread = signal(0);
  let done: string[];
  let loads: (() => Promise<typeof SamplePanel>)[];

  const sample = (): MeetingModule => ({
    name: 'sample',
    on,
    panel: {
      name: 'sample',
      title: 'Sample',
      icon: DOT,
      key: 'x',
      keyFocus: 'field',
      badge: computed(() => (unread() > 0 ? { count: unread(), label: ' new' } : undefined)),
      load: () => loads.shift()?.() ?? Promise.resolve(SamplePanel),
    },
    buttons: [
      {
        kind: 'toggle',
        name: 'sample-press',
        icon: DOT,
        text: 'Toggle',
        key: 'y',
        hint: signal('Does it'),
        off,
        pressed: signal(true),
        press: () => Promise.resolve(String(done.push('pressed'))),
      },
      {
        kind: 'menu',
        name: 'sample-menu',
        icon: DOT,
        text: 'Menu',
        hint: signal('Choose'),
        off,
        items: signal(
          ['one', 'two'].map((name) => ({ name, text: name, glyph: '*', run: () => void done.push(name) })),
        ),
      },
    ],
    mark: ({ displayName }) => ({ name: 'sample', icon: DOT, text: displayName.slice(0, 1), label: 'Sample mark' }),
    actionsOn: (people) => [
      {
        name: 'act',
        part: 'is',
        text: 'Act',
        run: () => void done.push(`on ${people.map(({ displayName }) => displayName).join(', ')}`),
      },
    ],
    actionsOnAll: () => [
      { name: 'act-all', place: 'head', text: 'Act on all', run: () => void done.push('on all') },
      { name: 'act-more', place: 'more', text: 'Act more', run: () => void done.push('more') },
    ],
    notifications: { 'media.service': ({ available }) => void done.push(`service ${String(available)}`) },
    joined: ({ roomId }) => void done.push(`joined ${roomId}`),
    left: () => void done.push('left'),
  });

  beforeEach(() => {
    on.set(true);
    off.set(false);
    unread.set(0);
    done = [];
    loads = [];
    TestBed.configureTestingModule({
      providers: [
        { provide: MEETING_MODULES, useFactory: sample, multi: true },
        Modules,
        Panels,
        PeopleView,
        ConferenceClient,
      ],
    });
    TestBed.inject(ConferenceStore).load({
      roomId: '!r',
      title: '',
      rights: [],
      me: 'nobody',
      participants: [anna],
      organisations: [],
      links: [],
      untrusted: [],
      modules: {},
    });
  });

  function bar() {
    const fixture = TestBed.createComponent(ControlBar);
    fixture.componentRef.setInput('panels', TestBed.inject(Panels).all());
    fixture.autoDetectChanges();
    const root = fixture.nativeElement as HTMLElement;
    const button = (testid: string): HTMLElement | null => root.querySelector(`[data-testid=${testid}]`);
    return { fixture, root, button };
  }

  const item = (testid: string): HTMLElement | null => document.querySelector(`[role=menu] [data-testid=${testid}]`);
  const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

  it('puts buttons before panels in the bar, in fixed places', () => {
    const order = [...bar().root.querySelectorAll('button')].map(({ dataset }) => dataset['testid']);
    const own = ['people-toggle', 'connections-toggle', 'leave'];
    expect(order.slice(-6)).toEqual(['sample-press', 'sample-menu', 'sample-toggle', ...own]);
  });

  it('shows nothing of a module that is off', () => {
    on.set(false);
    expect(bar().root.querySelector('[data-testid^=sample]')).toBeNull();
    expect(TestBed.inject(Modules).marks(anna)).toEqual([]);
    expect(TestBed.inject(Modules).actionsOnAll()).toEqual([]);
  });

  it('shows the number of a panel, with words for who listens', async () => {
    unread.set(3);
    const { root } = bar();
    expect(root.querySelector('.count')?.textContent).toBe('3 new');
    unread.set(0);
    await settled();
    expect(root.querySelector('.count:not(.quiet)')).toBeNull();
  });

  it('keeps a button that does nothing in its place, and tells why', async () => {
    const { button } = bar();
    button('sample-press')?.click();
    off.set(true);
    await settled();
    button('sample-press')?.click();
    button('sample-menu')?.click();
    await settled();
    expect(done).toEqual(['pressed']);
    expect(button('sample-press')?.getAttribute('aria-disabled')).toBe('true');
    expect(button('sample-press')?.title).toBe('Does it');
    expect(item('one')).toBeNull();
  });

  it('opens a menu that is used by arrows, and closes on Escape with the focus back at its button', async () => {
    const { button } = bar();
    const press = async (key: string, keyCode: number): Promise<void> => {
      const event = new KeyboardEvent('keydown', { key, keyCode, bubbles: true, cancelable: true });
      document.activeElement?.dispatchEvent(event);
      await settled();
    };
    const opener = button('sample-menu');
    opener?.focus();
    opener?.click();
    await settled();
    item('one')?.focus();
    await press('ArrowDown', 40);
    expect(document.activeElement).toBe(item('two'));
    // One place for Tab, wherever the arrows are.
    expect([item('one')?.tabIndex, item('two')?.tabIndex]).toEqual([-1, 0]);
    await press('Escape', 27);
    expect(item('two')).toBeNull();
    expect(document.activeElement).toBe(opener);
    opener?.click();
    await settled();
    item('two')?.click();
    expect(done).toEqual(['two']);
  });

  it('shows marks and what can be done in the list of people', async () => {
    const fixture = TestBed.createComponent(PeoplePanel);
    fixture.autoDetectChanges();
    const root = fixture.nativeElement as HTMLElement;
    expect(root.querySelector('[data-testid=sample-mark]')?.textContent).toContain('Sample mark');
    root.querySelector<HTMLElement>('[data-testid=act-all]')?.click();
    root.querySelector<HTMLElement>('[data-testid=person-menu]')?.click();
    await settled();
    item('act')?.click();
    expect(done).toEqual(['on all', 'on Anna']);
  });

  it('loads a panel on demand, says when that failed, and puts the focus into its field', async () => {
    loads = [() => Promise.reject(new Error('the server is away'))];
    const fixture = TestBed.createComponent(SidePanel);
    const [panel] = TestBed.inject(Panels).all();
    fixture.componentRef.setInput('panel', panel);
    fixture.componentRef.setInput('focus', 'field');
    fixture.autoDetectChanges();
    await settled();
    const root = fixture.nativeElement as HTMLElement;
    expect(root.textContent).toContain('could not be loaded');
    root.querySelector<HTMLElement>('ht-loaded button')?.click();
    await settled();
    await settled();
    expect(document.activeElement).toBe(root.querySelector('[data-testid=sample-field]'));
  });

  it('tells modules of entry, news and end', () => {
    const modules = TestBed.inject(Modules);
    modules.joined({
      roomId: '!r',
      title: '',
      rights: [],
      me: 'nobody',
      participants: [],
      organisations: [],
      links: [],
      untrusted: [],
      modules: {},
    });
    modules.apply({ name: 'media.service', data: { available: false } });
    modules.apply({ name: 'speaking', data: { participantIds: [] } });
    modules.left();
    expect(done).toEqual(['joined !r', 'service false', 'left']);
  });
});
