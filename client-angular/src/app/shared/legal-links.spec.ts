import { TestBed } from '@angular/core/testing';
import type { Legal } from '../../../../protocol/client-api.ts';
import { LegalLinks } from './legal-links.ts';

describe('Tenants: the legal links', () => {
  function shown(legal: Legal): HTMLElement {
    const fixture = TestBed.createComponent(LegalLinks);
    fixture.componentRef.setInput('legal', legal);
    fixture.detectChanges();
    return fixture.nativeElement as HTMLElement;
  }

  it('lead to the pages of the organisation, and open them beside the meeting', () => {
    const root = shown({ imprint: 'https://altona.example/impressum', privacy: 'https://altona.example/datenschutz' });
    const links = [...root.querySelectorAll('a')];
    expect(links.map((link) => [link.textContent.trim(), link.href])).toEqual([
      ['Imprint', 'https://altona.example/impressum'],
      ['Privacy', 'https://altona.example/datenschutz'],
    ]);
    for (const link of links) expect([link.target, link.rel]).toEqual(['_blank', 'noopener']);
    expect(root.querySelector('nav')?.getAttribute('aria-label')).toBe('Legal information');
  });

  it('are those that there are, and nothing without', () => {
    expect(shown({ privacy: 'https://altona.example/datenschutz' }).querySelectorAll('a').length).toBe(1);
    expect(shown({}).querySelector('nav')).toBeNull();
  });
});
