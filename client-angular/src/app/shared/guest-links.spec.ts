import { Clipboard } from '@angular/cdk/clipboard';
import { TestBed } from '@angular/core/testing';
import type { GuestRule, Link, NewLink } from '../../../../protocol/guest-links.ts';
import { Api } from '../core/api.ts';
import { GuestLinks } from './guest-links.ts';

const HOUR = 3_600_000;

function link(linkId: string, more: Partial<Link> = {}): Link {
  return {
    linkId,
    url: `https://meet.example/join/${linkId}`,
    createdBy: '@anna:x.example',
    createdAt: Date.now(),
    uses: 0,
    guests: 0,
    mode: 'direct',
    password: false,
    ...more,
  };
}

describe('Guest link: the links of a meeting', () => {
  let done: unknown[];
  let copied: string[];
  let mayCopy: boolean;
  let element: HTMLElement;

  beforeEach(() => {
    done = [];
    copied = [];
    mayCopy = true;
  });

  async function settle(): Promise<void> {
    for (let turn = 0; turn < 5; turn += 1) {
      await new Promise((resolve) => setTimeout(resolve));
      TestBed.tick();
    }
  }
  async function show(links: Link[], guests: GuestRule = 'enter', makeLink = false): Promise<void> {
    const api = {
      links: () => Promise.resolve({ links, guests }),
      createLink: (_roomId: string, settings: NewLink = {}) => {
        done.push(['create', settings]);
        return Promise.resolve(
          link('new', { ...(settings.purpose === undefined ? {} : { purpose: settings.purpose }) }),
        );
      },
      endLink: (_roomId: string, linkId: string, what: string) => {
        done.push(['end', linkId, what]);
        return Promise.resolve();
      },
      replaceLink: (_roomId: string, linkId: string) => {
        done.push(['replace', linkId]);
        return Promise.resolve(link(linkId, { url: 'https://meet.example/join/other' }));
      },
    };
    const clipboard = {
      copy: (text: string) => {
        if (mayCopy) copied.push(text);
        return mayCopy;
      },
    };
    TestBed.configureTestingModule({
      providers: [
        { provide: Api, useValue: api },
        { provide: Clipboard, useValue: clipboard },
      ],
    });
    const fixture = TestBed.createComponent(GuestLinks);
    fixture.componentRef.setInput('roomId', '!r');
    fixture.componentRef.setInput('makeLink', makeLink);
    fixture.detectChanges();
    element = fixture.nativeElement as HTMLElement;
    await settle();
  }
  const find = <E extends HTMLElement = HTMLElement>(id: string, within: Element = element): E | null =>
    within.querySelector<E>(`[data-testid="${id}"]`);
  const press = async (id: string, within: Element = element): Promise<void> => {
    find(id, within)?.click();
    await settle();
  };
  const item = (linkId: string): Element => element.querySelector(`[data-link="${linkId}"]`) ?? element;

  it('are made by copying where there is none, and copied again afterwards', async () => {
    await show([]);
    expect(find('link-url')).toBeNull();
    await press('copy-link');
    await press('copy-link');
    expect(done).toEqual([['create', {}]]);
    expect(copied).toEqual(['https://meet.example/join/new', 'https://meet.example/join/new']);
    expect(find<HTMLInputElement>('link-url')?.value).toBe('https://meet.example/join/new');
  });

  it('for everybody are what is copied, never one with bounds of its own', async () => {
    await show([
      link('press', { purpose: 'Press' }),
      link('few', { maxUses: 3 }),
      link('slow', { mode: 'waiting' }),
      link('secret', { password: true }),
      link('usual'),
    ]);
    await press('copy-link');
    expect([done, copied]).toEqual([[], ['https://meet.example/join/usual']]);
    await press('copy-this-link', item('press'));
    expect(copied.at(-1)).toBe('https://meet.example/join/press');
  });

  it('say who may enter by them and until when', async () => {
    await show([link('usual', { expiresAt: Date.now() + HOUR })]);
    expect(find('link-words')?.textContent).toContain('enters as a guest at once');
    expect(find('link-words')?.textContent).toContain('It is valid until: ');
    TestBed.resetTestingModule();
    await show([link('usual')], 'wait');
    expect(find('link-words')?.textContent).toContain('until a moderator lets them in');
    expect(find('link-words')?.textContent).toContain('until you end it');
    TestBed.resetTestingModule();
    await show([], 'no');
    expect(find('link-words')?.textContent).toContain('lets no guests in');
  });

  it('are marked to be copied by hand where the browser does not copy', async () => {
    mayCopy = false;
    await show([link('usual')], 'enter', true);
    await press('copy-link');
    expect(find('copy-link')?.textContent).toContain('Copy link');
    const field = find<HTMLInputElement>('link-url');
    expect([field?.selectionStart, field?.selectionEnd]).toEqual([0, field?.value.length ?? -1]);
  });

  it('end after a question, with their guests or without', async () => {
    await show([link('one', { uses: 3, guests: 2 }), link('two', { uses: 1, guests: 1 }), link('three')]);
    expect(item('one').textContent).toContain('3 people came by it');
    expect(find('end-link', item('one'))?.getAttribute('aria-label')).toContain('usual link');
    await press('end-link', item('one'));
    expect([done, item('one').textContent?.includes('2 guests came by it: may they stay?')]).toEqual([[], true]);
    await press('end-link-keep', item('one'));
    await press('end-link', item('two'));
    await press('end-link-remove', item('two'));
    await press('end-link', item('three'));
    await press('confirm-end-link', item('three'));
    expect(done).toEqual([
      ['end', 'one', 'keep'],
      ['end', 'two', 'remove'],
      ['end', 'three', 'remove'],
    ]);
    expect(element.querySelectorAll('[data-testid="guest-link"]').length).toBe(0);
  });

  it('get another address after a question, which is copied', async () => {
    await show([link('one')]);
    await press('replace-link', item('one'));
    expect(done).toEqual([]);
    await press('confirm-replace-link', item('one'));
    expect(done).toEqual([['replace', 'one']]);
    expect(copied).toEqual(['https://meet.example/join/other']);
  });

  it('have settings behind one step, which are checked before they are sent', async () => {
    await show([link('usual')]);
    await press('link-settings');
    const type = (id: string, text: string): void => {
      const field = find<HTMLInputElement>(id);
      if (!field) return fail(`There is no ${id}.`);
      field.value = text;
      field.dispatchEvent(new Event('input'));
    };
    type('link-purpose', '  Press ');
    type('link-most', 'ten');
    type('link-password', 'short');
    await press('make-special-link');
    expect(element.textContent).toContain('Type a number');
    expect(element.textContent).toContain('at least 8 characters');
    expect(done).toEqual([]);
    type('link-most', '10');
    type('link-password', 'long enough');
    await press('make-special-link');
    const [, settings] = (done[0] ?? []) as [string, NewLink];
    expect(settings).toEqual(
      jasmine.objectContaining({ purpose: 'Press', maxUses: 10, password: 'long enough', mode: 'direct' }),
    );
    expect(copied).toEqual(['https://meet.example/join/new']);
    expect(find('link-purpose')).toBeNull();
    expect(element.textContent).not.toContain('long enough');
  });
});
