import { LiveAnnouncer } from '@angular/cdk/a11y';
import { signal } from '@angular/core';
import { type ComponentFixture, TestBed } from '@angular/core/testing';
import type { Participant } from '../../../../../protocol/session.ts';
import { MEETING_MODULES, type MeetingModule } from '../../conference/meeting-module.ts';
import { Modules } from '../../conference/modules.ts';
import { PeopleView } from '../../conference/people-view.ts';
import { HAMBURG, LUEBECK, person, snapshotOf } from '../../conference/snapshot-for-specs.ts';
import { ConferenceStore } from '../../conference/store.ts';
import { FocusKeeper } from '../../core/focus-keeper.ts';
import { PeoplePanel } from './people-panel.ts';

const bert = person('Bert', LUEBECK.serverName);
const anna = person('Anna', HAMBURG.serverName);
const olaf = person('Olaf', HAMBURG.serverName);
const ute = person('Ute', LUEBECK.serverName);
const few = [bert, anna, olaf, ute];
const many = [...few, ...Array.from({ length: 6 }, (_, count) => person(`P${String(count)}`, LUEBECK.serverName))];

describe('The people panel', () => {
  const mayAct = signal(true);
  const locked = signal(false);
  const idle = signal<string | undefined>(undefined);
  let done: string[];
  let store: ConferenceStore;
  let fixture: ComponentFixture<PeoplePanel>;

  const module = (): MeetingModule => ({
    name: 'sample',
    grouping: {
      name: 'names',
      text: 'Names',
      titles: { placed: 'With A', others: 'The others' },
      place: ({ displayName }) => (displayName.startsWith('A') ? 1 : undefined),
    },
    actionsOn: (people) => {
      const others = people.filter(({ participantId }) => participantId !== bert.participantId);
      if (!mayAct() || others.length === 0) return [];
      const names = others.map(({ displayName }) => displayName).join(', ');
      return [
        { name: 'goes', part: 'goes', text: 'Goes', run: () => void done.push(`goes ${names}`) },
        { name: 'act', part: 'sends', text: 'Act', run: () => void done.push(`act ${names}`) },
      ];
    },
    actionsOnAll: () =>
      mayAct()
        ? [
            {
              name: 'lock',
              place: 'head',
              text: 'Lock',
              pressed: locked(),
              off: idle(),
              run: () => void done.push('lock'),
            },
            { name: 'end', place: 'more', part: 'end', text: 'End', run: () => void done.push('end') },
          ]
        : [],
  });

  beforeEach(() => {
    mayAct.set(true);
    locked.set(false);
    idle.set(undefined);
    done = [];
    localStorage.removeItem('hansetag-people');
    TestBed.configureTestingModule({
      providers: [{ provide: MEETING_MODULES, useFactory: module, multi: true }, Modules, PeopleView],
    });
    store = TestBed.inject(ConferenceStore);
    TestBed.inject(FocusKeeper);
  });
  afterEach(() => localStorage.removeItem('hansetag-people'));

  async function panel(participants: Participant[]): Promise<HTMLElement> {
    store.load(snapshotOf({ me: bert.participantId, participants }));
    fixture = TestBed.createComponent(PeoplePanel);
    const root = fixture.nativeElement as HTMLElement;
    document.body.appendChild(root);
    fixture.autoDetectChanges();
    await settled();
    return root;
  }

  const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));
  function find<E extends HTMLElement>(root: ParentNode, selector: string): E {
    const found = root.querySelector<E>(selector);
    if (!found) throw new Error(`${selector} is not there`);
    return found;
  }
  const test = <E extends HTMLElement>(root: ParentNode, testid: string): E =>
    find<E>(root, `[data-testid="${testid}"]`);
  const row = (root: ParentNode, of: Participant): HTMLElement =>
    find(root, `li[data-participant-id="${of.participantId}"]`);
  const names = (root: ParentNode): string[] =>
    [...root.querySelectorAll('li .name')].map((one) => one.textContent.trim());
  const titles = (root: ParentNode): string[] =>
    [...root.querySelectorAll('.groups h3')].map((one) => one.textContent.replace(/\s+/g, ' ').trim());
  const press = (on: Element, key: string): void => {
    on.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
  };

  it('has what concerns the whole meeting at its head, two of which are one step away at most', async () => {
    const root = await panel(few);
    const lock = test(root, 'lock');
    expect(lock.getAttribute('aria-pressed')).toBe('false');
    lock.click();
    locked.set(true);
    await settled();
    expect(lock.getAttribute('aria-pressed')).toBe('true');
    test(root, 'meeting-actions').click();
    await settled();
    test(document, 'end').click();
    expect(done).toEqual(['lock', 'end']);
  });

  it('keeps a button at the head that does nothing now in its place, and says why', async () => {
    const said = spyOn(TestBed.inject(LiveAnnouncer), 'announce').and.resolveTo();
    const root = await panel(few);
    idle.set('Nobody to act on.');
    await settled();
    test(root, 'lock').click();
    expect(test(root, 'lock').getAttribute('aria-disabled')).toBe('true');
    expect(done).toEqual([]);
    expect(said.calls.mostRecent().args[0]).toBe('Nobody to act on.');
  });

  it('shows none of it to who may do nothing', async () => {
    mayAct.set(false);
    const root = await panel(many);
    expect(find(root, 'ht-people-head').hidden).toBeTrue();
    expect(root.querySelector('[data-testid=person-menu], [data-testid=select-people]')).toBeNull();
    expect(root.querySelector('[data-testid=people-search]')).not.toBeNull();
  });

  it('has tools for many people only where there are many', async () => {
    const root = await panel([bert, anna]);
    expect(root.querySelector('.tools')).toBeNull();
    for (const one of many) store.apply('participant.joined', one);
    await settled();
    for (const testid of ['people-search', 'group-by-names', 'select-people']) test(root, testid);
  });

  it('groups by organisation, or as a module says, and remembers that in this browser', async () => {
    const root = await panel(many);
    expect(titles(root)).toEqual(['Lübeck8', 'Hamburg2']);
    test(root, 'group-by-names').click();
    await settled();
    expect(titles(root)).toEqual(['With A1', 'The others9']);
    expect(row(root, anna).textContent).toContain('Hamburg');
    expect(localStorage.getItem('hansetag-people')).toBe('names');
    test(root, 'group-by-organisation').click();
    await settled();
    expect(titles(root)).toEqual(['Lübeck8', 'Hamburg2']);
    expect(localStorage.getItem('hansetag-people')).toBeNull();
  });

  it('finds people, and says when there is nobody of that name', async () => {
    const root = await panel(many);
    const field = test<HTMLInputElement>(root, 'people-search');
    field.value = 'hamb';
    field.dispatchEvent(new Event('input'));
    await settled();
    expect(names(root)).toEqual(['Anna', 'Olaf']);
    field.value = 'zzz';
    field.dispatchEvent(new Event('input'));
    await settled();
    expect(root.textContent).toContain('Nobody of this name.');
  });

  it('opens a menu at a person, in the order of its parts, which changes under nobody’s finger', async () => {
    const root = await panel(few);
    test(row(root, anna), 'person-menu').click();
    await settled();
    const items = (): string[] =>
      [...document.querySelectorAll('[role=menuitem]')].map((one) => one.textContent.trim());
    expect(items()).toEqual(['Act', 'Goes']);
    expect(document.querySelectorAll('[role=menu] hr').length).toBe(1);
    store.apply('participant.changed', { ...anna, displayName: 'Anne' });
    await settled();
    expect(items()).toEqual(['Act', 'Goes']);
    test(document, 'goes').click();
    expect(done).toEqual(['goes Anna']);
  });

  it('closes the menu of somebody who leaves, with the focus at the heading of the organisation', async () => {
    const root = await panel(few);
    const opener = test(row(root, anna), 'person-menu');
    opener.focus();
    press(opener, 'Enter');
    opener.click();
    await settled();
    test(document, 'act').focus();
    store.apply('participant.left', { participantId: anna.participantId, reason: 'left' });
    await settled();
    expect(document.querySelector('[role=menu]')).toBeNull();
    expect(document.activeElement?.textContent).toContain('Hamburg');
  });

  it('closes the menu when the right to act is taken, and the focus stays in the panel', async () => {
    const root = await panel(few);
    test(row(root, anna), 'person-menu').focus();
    test(row(root, anna), 'person-menu').click();
    await settled();
    test(document, 'act').focus();
    mayAct.set(false);
    await settled();
    expect(document.querySelector('[role=menu]')).toBeNull();
    expect(root.contains(document.activeElement)).toBeTrue();
  });

  it('lets arrows, Home and End walk from person to person', async () => {
    const root = await panel(few);
    const menu = (of: Participant): HTMLElement => test(row(root, of), 'person-menu');
    menu(ute).focus();
    press(menu(ute), 'ArrowDown');
    expect(document.activeElement).toBe(menu(anna));
    press(menu(anna), 'End');
    expect(document.activeElement).toBe(menu(olaf));
    press(menu(olaf), 'ArrowDown');
    expect(document.activeElement).toBe(menu(olaf));
    press(menu(olaf), 'Home');
    expect(document.activeElement).toBe(menu(ute));
  });

  describe('with several chosen', () => {
    async function selecting(participants = many): Promise<HTMLElement> {
      const root = await panel(participants);
      test(root, 'select-people').click();
      await settled();
      return root;
    }
    const box = (root: ParentNode, of: Participant): HTMLInputElement => test(row(root, of), 'choose');
    const all = (root: ParentNode): HTMLInputElement[] => [
      ...root.querySelectorAll<HTMLInputElement>('[data-testid=choose-all]'),
    ];
    async function act(root: ParentNode): Promise<void> {
      test(root, 'selected-actions').click();
      await settled();
      test(document, 'act').click();
      await settled();
    }

    it('has boxes on demand, of others only', async () => {
      const root = await panel(many);
      expect(root.querySelector('input[type=checkbox]')).toBeNull();
      test(root, 'select-people').click();
      await settled();
      expect(root.querySelectorAll('[data-testid=choose]').length).toBe(many.length - 1);
      expect(row(root, bert).querySelector('input')).toBeNull();
      expect(root.querySelector('[data-testid=selected-actions]')).toBeNull();
    });

    it('acts on all who are chosen, also of one organisation at once', async () => {
      const root = await selecting(few);
      all(root)[1]?.click();
      box(root, ute).click();
      await settled();
      expect(test(root, 'people-chosen').textContent).toContain('3 people selected');
      expect(all(root).map(({ checked }) => checked)).toEqual([true, true]);
      box(root, olaf).click();
      await settled();
      expect(all(root)[1]?.indeterminate).toBeTrue();
      await act(root);
      expect(done).toEqual(['act Anna, Ute']);
    });

    it('chooses of what is shown, and keeps what was chosen before', async () => {
      const root = await selecting();
      box(root, anna).click();
      TestBed.inject(PeopleView).search.set('p1');
      await settled();
      all(root)[0]?.click();
      TestBed.inject(PeopleView).search.set('');
      await settled();
      await act(root);
      expect(done).toEqual(['act Anna, P1']);
    });

    it('drops who leaves', async () => {
      const root = await selecting();
      box(root, anna).click();
      box(root, olaf).click();
      store.apply('participant.left', { participantId: anna.participantId, reason: 'left' });
      await settled();
      expect(test(root, 'people-chosen').textContent).toContain('1 person selected');
      await act(root);
      expect(done).toEqual(['act Olaf']);
    });

    it('ends by its button and by Escape, with the focus where it began, and nobody chosen', async () => {
      for (const end of [
        (root: HTMLElement) => test(root, 'selected-done').click(),
        (root: HTMLElement) => press(box(root, olaf), 'Escape'),
      ]) {
        const root = await selecting();
        box(root, anna).focus();
        box(root, anna).click();
        await settled();
        end(root);
        await settled();
        expect(document.activeElement).toBe(test(root, 'select-people'));
        expect(root.querySelector('[data-testid=people-chosen]')).toBeNull();
        expect(TestBed.inject(PeopleView).chosen()).toEqual([]);
        root.remove();
      }
    });

    it('ends when the right to act is taken', async () => {
      const root = await selecting();
      mayAct.set(false);
      await settled();
      expect(root.querySelector('input[type=checkbox]')).toBeNull();
    });
  });

  it('shows the first of many people at once, and has all of them in the page right after', async () => {
    const crowd = Array.from({ length: 150 }, (_, count) => person(`P${String(count)}`, HAMBURG.serverName));
    store.load(snapshotOf({ me: bert.participantId, participants: [bert, ...crowd] }));
    fixture = TestBed.createComponent(PeoplePanel);
    const root = fixture.nativeElement as HTMLElement;
    fixture.detectChanges();
    expect(root.querySelectorAll('li').length).toBe(60);
    expect(titles(root)).toEqual(['Lübeck1', 'Hamburg150']);
    fixture.autoDetectChanges();
    for (let tries = 0; tries < 100 && root.querySelectorAll('li').length < 151; tries += 1) await settled();
    expect(root.querySelectorAll('li').length).toBe(151);
  });
});
