import type { Meeting } from '../../../../protocol/client-api.ts';
import { readLink, readToken } from '../core/read-link.ts';
import { parseMatrixIds } from '../shared/typed-ids.ts';
import { arrange } from './arrange.ts';

const HOUR = 3_600_000;
const NOW = 1_000 * HOUR;

function meeting(roomId: string, change: Partial<Meeting> = {}): Meeting {
  return {
    roomId,
    title: roomId,
    membership: 'join',
    role: 'owner',
    host: { userId: '@bert:luebeck.example', displayName: 'Bert', organisation: 'luebeck.example', guest: false },
    createdAt: NOW - HOUR,
    liveCount: 0,
    organisations: [],
    ...change,
  };
}

describe('The order of the home page', () => {
  it('puts a meeting with people in it first, then the next planned one', () => {
    const soon = meeting('!soon', { startsAt: NOW + HOUR });
    const later = meeting('!later', { startsAt: NOW + 5 * HOUR });
    const live = meeting('!live', { liveCount: 2 });
    expect(arrange([later, soon], NOW).next).toBe(soon);
    expect(arrange([later, soon, live], NOW).next).toBe(live);
    expect(arrange([later, soon, live], NOW).others).toEqual([soon, later]);
  });

  it('keeps a meeting that runs in front, and puts one that is over last', () => {
    const running = meeting('!running', { startsAt: NOW - HOUR / 2, endsAt: NOW + HOUR });
    const over = meeting('!over', { startsAt: NOW - 9 * HOUR });
    const open = meeting('!open');
    expect(arrange([over, open, running], NOW)).toEqual({ invitations: [], next: running, others: [open, over] });
  });

  it('does not offer what is over as the next meeting', () => {
    const over = meeting('!over', { startsAt: NOW - 9 * HOUR });
    expect(arrange([over], NOW)).toEqual({ invitations: [], next: undefined, others: [over] });
  });

  it('keeps invitations apart', () => {
    const invited = meeting('!invited', { membership: 'invite' });
    expect(arrange([invited], NOW)).toEqual({ invitations: [invited], next: undefined, others: [] });
  });
});

describe('Typed Matrix ids', () => {
  it('may be separated in any way and are taken once', () => {
    const typed = '@anna:hamburg.example, @jens:hamburg.example:8448;\n @anna:hamburg.example';
    expect(parseMatrixIds(typed)).toEqual({
      valid: ['@anna:hamburg.example', '@jens:hamburg.example:8448'],
      invalid: [],
    });
  });

  it('are told apart from names and mail addresses', () => {
    expect(parseMatrixIds('anna anna@hamburg.example @anna').invalid).toEqual([
      'anna',
      'anna@hamburg.example',
      '@anna',
    ]);
    expect(parseMatrixIds('   ')).toEqual({ valid: [], invalid: [] });
  });

  it('inside a sentence or a mail are read without its full stops, brackets and quotation marks', () => {
    const typed =
      'Bitte @anna:hamburg.example:9548. Und (@jens:hamburg.example), „@eva:bremen.example“! <@ole:kiel.example>;';
    expect(parseMatrixIds(typed).valid).toEqual([
      '@anna:hamburg.example:9548',
      '@jens:hamburg.example',
      '@eva:bremen.example',
      '@ole:kiel.example',
    ]);
  });

  it('are read without characters that nobody sees, and from links to a person', () => {
    expect(parseMatrixIds('\u200b@anna:hamburg.example\u2060').valid).toEqual(['@anna:hamburg.example']);
    expect(parseMatrixIds('https://matrix.to/#/%40jens%3Ahamburg.example matrix:u/eva:bremen.example').valid).toEqual([
      '@jens:hamburg.example',
      '@eva:bremen.example',
    ]);
  });

  it('get the server in lower case, and only the server', () => {
    expect(parseMatrixIds('@Anna:HAMBURG.Example:9548 @Anna:hamburg.example:9548').valid).toEqual([
      '@Anna:hamburg.example:9548',
    ]);
  });

  it('that no server can have are named one by one, and the others stay', () => {
    expect(parseMatrixIds('@anna:hamburg.example @anna:lübeck.de @x:hamburg.de:99999 @clara:luebeck.example')).toEqual({
      valid: ['@anna:hamburg.example', '@clara:luebeck.example'],
      invalid: ['@anna:lübeck.de', '@x:hamburg.de:99999'],
    });
  });
});

describe('A pasted meeting link', () => {
  const origin = 'https://treffen.luebeck.example';

  it('of the own instance stays in the client, in any language', () => {
    expect(readLink(`${origin}/join/abc_-123`, origin)).toEqual({ kind: 'own', path: '/join/abc_-123' });
    expect(readLink(` ${origin}/de/join/abcdefgh `, origin)).toEqual({ kind: 'own', path: '/join/abcdefgh' });
    expect(readLink('abcdefghijkl', origin)).toEqual({ kind: 'own', path: '/join/abcdefghijkl' });
  });

  it('of another instance leads there, without what else stands in it', () => {
    expect(readLink('https://meet.hamburg.example/en/join/abc?x=1#y', origin)).toEqual({
      kind: 'elsewhere',
      url: 'https://meet.hamburg.example/join/abc',
    });
  });

  for (const [before, after] of [
    ['', '.'],
    ['<', '>'],
    ['<', '>.'],
    ['(', ')'],
    ['Hier: ', ', bis dann!'],
    ['„', '“'],
    ['[Sitzung](', ')'],
  ]) {
    it(`is read inside ${before}…${after} of a mail`, () => {
      expect(readLink(`${before}${origin}/join/abc_-123${after}`, origin)).toEqual({
        kind: 'own',
        path: '/join/abc_-123',
      });
    });
  }

  it('with the end of a sentence behind it still has its token', () => {
    for (const text of ['abc_-1', 'abc_-1.', 'abc_-1>', 'abc_-1)', 'abc_-1"', 'abc_-1,']) {
      expect(readToken(text)).toBe('abc_-1');
    }
    expect(readToken('.')).toBeUndefined();
  });

  it('is refused when it is something else', () => {
    for (const text of [
      '',
      'javascript:alert(1)//join/abc',
      'http://meet.hamburg.example/join/abc',
      `${origin}/login`,
      `${origin}/join/abc/def`,
      `${origin}/join/äbc`,
    ]) {
      expect(readLink(text, origin)).toBeUndefined();
    }
  });
});
