import { isUserId as isUserIdOfRooms } from '../../federation/identifiers.ts';
import { isUserId, withLowerServer } from '../../protocol/matrix-id.ts';

const GOOD = [
  '@anna:hamburg.example',
  '@anna:hamburg.example:8448',
  '@Anna.B-1=_/+:hamburg.example',
  '@jürgen:altes.example',
  '@a:localhost',
  '@a:127.0.0.1:9548',
  '@a:[::1]:8448',
];
const BAD = [
  '',
  '@',
  'anna',
  'anna@hamburg.example',
  '@anna',
  '@anna:',
  '@:hamburg.example',
  '@anna:lübeck.de',
  '@anna:hamburg.de)',
  '@anna:hamburg.de.',
  '@anna:hamburg..de',
  '@anna:-hamburg.de',
  '@anna:hamburg.de:',
  '@anna:hamburg.de:0',
  '@anna:hamburg.de:65536',
  '@anna:hamburg.de:9548.',
  '@anna:hamburg.de/path',
  '@anna:[::g]',
  '@an na:hamburg.de',
  '@an\u200bna:hamburg.de',
  `@${'a'.repeat(255)}:hamburg.de`,
  `@${'ü'.repeat(125)}:hamburg.de`,
];

describe('The check of Matrix ids that people are invited by', () => {
  for (const id of GOOD) {
    it(`takes ${id}, as the federation library does`, () => {
      expect(isUserId(id)).toBeTrue();
      expect(isUserIdOfRooms(id)).toBeTrue();
    });
  }

  for (const id of BAD) {
    it(`refuses ${JSON.stringify(id.length > 60 ? `${id.slice(0, 60)}…` : id)}`, () => {
      expect(isUserId(id)).toBeFalse();
    });
  }

  it('lowers the server part only', () => {
    expect(withLowerServer('@Anna:HAMBURG.Example:8448')).toBe('@Anna:hamburg.example:8448');
  });
});
