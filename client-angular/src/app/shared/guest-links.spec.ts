import { TestBed } from '@angular/core/testing';
import { Api } from '../core/api.ts';
import { GuestLinks } from './guest-links.ts';

describe('The links of a meeting', () => {
  let ended: string[];

  async function show(): Promise<HTMLElement> {
    const links = [
      { linkId: 'one', createdBy: '@anna:x.example', createdAt: Date.now(), guests: 2 },
      { linkId: 'two', createdBy: '@anna:x.example', createdAt: Date.now() - 86_400_000, guests: 0 },
    ];
    ended = [];
    const api = {
      links: () => Promise.resolve({ links, guests: 'enter' }),
      endLink: (_roomId: string, linkId: string) => {
        ended.push(linkId);
        return Promise.resolve();
      },
    };
    TestBed.configureTestingModule({ providers: [{ provide: Api, useValue: api }] });
    const fixture = TestBed.createComponent(GuestLinks);
    fixture.componentRef.setInput('roomId', '!r');
    fixture.detectChanges();
    await fixture.whenStable();
    fixture.detectChanges();
    const element = fixture.nativeElement as HTMLElement;
    return element;
  }
  const button = (element: Element, id: string): HTMLButtonElement | null =>
    element.querySelector<HTMLButtonElement>(`[data-testid="${id}"]`);

  it('are shown with their guests, and end only after a question', async () => {
    const element = await show();
    const [first] = element.querySelectorAll('[data-testid="guest-link"]');
    expect(element.querySelectorAll('[data-testid="guest-link"]').length).toBe(2);
    expect(first?.textContent).toContain('2 guests came by it');
    if (!first) return;
    expect(button(first, 'end-link')?.getAttribute('aria-label')).toContain('End link, made: ');
    button(first, 'end-link')?.click();
    await TestBed.inject(Api).links('!r');
    TestBed.tick();
    expect(ended).toEqual([]);
    expect(button(first, 'confirm-end-link')).not.toBeNull();
    button(first, 'confirm-end-link')?.click();
    await new Promise((resolve) => setTimeout(resolve));
    TestBed.tick();
    expect(ended).toEqual(['one']);
    expect(element.querySelectorAll('[data-testid="guest-link"]').length).toBe(1);
  });
});
