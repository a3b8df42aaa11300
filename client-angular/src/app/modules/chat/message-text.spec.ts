import { TestBed } from '@angular/core/testing';
import { MessageText, splitLinks } from './message-text.ts';

const links = (text: string): string[] =>
  splitLinks(text).flatMap(({ text: shown, href }) => (href === undefined ? [] : [shown]));

describe('Web addresses in a message', () => {
  it('are links, without the punctuation of the sentence around them', () => {
    expect(links('Siehe https://hamburg.example/plan?a=1&b=2#c, bitte.')).toEqual([
      'https://hamburg.example/plan?a=1&b=2#c',
    ]);
    expect(links('(https://luebeck.example/a_(b)) und <http://kiel.example/x>?!')).toEqual([
      'https://luebeck.example/a_(b)',
      'http://kiel.example/x',
    ]);
    expect(links('„https://bücher.example/straße“ …')).toEqual(['https://bücher.example/straße']);
    expect(links('HTTPS://Hamburg.example: https://[::1]:8080/a]')).toEqual([
      'HTTPS://Hamburg.example',
      'https://[::1]:8080/a',
    ]);
    expect(links('https://a.example\nhttps://b.example')).toEqual(['https://a.example', 'https://b.example']);
  });

  it('are only those of the web, that lead where they seem to lead', () => {
    for (const text of [
      'javascript:alert(1)',
      'data:text/html,https',
      'ftp://hamburg.example',
      'mailto:anna@hamburg.example',
      'https://',
      'https://...',
      'https://hamburg.example@evil.example/',
      'https://user:secret@evil.example/',
      'http://%zz/',
    ])
      expect(links(text)).withContext(text).toEqual([]);
  });

  it('end where a sign begins that turns the direction of writing', () => {
    expect(links('https://hamburg.example/\u202Egpj.exe')).toEqual(['https://hamburg.example/']);
  });

  it('lose nothing of the text, whatever it is', () => {
    for (const text of [
      '',
      'a',
      ' https://a.example ',
      'https://a.example..  https://b.example)',
      'https://)))',
      '😀https://😀',
    ])
      expect(
        splitLinks(text)
          .map((part) => part.text)
          .join(''),
      ).toBe(text);
  });

  it('are found in the longest message, too', () => {
    expect(links(`https://a.example/${').'.repeat(30_000)}`)).toEqual(['https://a.example/']);
  });
});

describe('The text of a message', () => {
  function show(text: string): HTMLElement {
    const fixture = TestBed.createComponent(MessageText);
    fixture.componentRef.setInput('text', text);
    fixture.detectChanges();
    return fixture.nativeElement as HTMLElement;
  }

  it('opens links in another tab, which learns nothing of this one', () => {
    const root = show('Hier: https://hamburg.example/plan.');
    const link = root.querySelector('a');
    expect(link?.getAttribute('href')).toBe('https://hamburg.example/plan');
    expect(link?.target).toBe('_blank');
    expect(link?.rel).toBe('noopener noreferrer');
    expect(root.textContent).toBe('Hier: https://hamburg.example/plan.');
  });

  it('is text and never markup', () => {
    const text = '<img src=x onerror=alert(1)> https://a.example/"><b>x</b>';
    const root = show(text);
    expect(root.querySelector('img, b')).toBeNull();
    expect(root.textContent).toBe(text);
  });

  it('runs in the direction of its own letters, and keeps spaces and lines', () => {
    const root = show('  שלום\n  https://a.example  ');
    expect(root.dir).toBe('auto');
    expect(root.textContent).toBe('  שלום\n  https://a.example  ');
  });
});
