/** Passwords of guest links: what is kept of them, and how often somebody may guess. */
import { LINK_ERRORS } from '../../protocol/guest-links.ts';
import { LINK_PASSWORD_RATE, LINK_PASSWORD_RATE_OF_ADDRESS } from '../../homeserver/base/limits.ts';
import { LinkPasswords } from '../../homeserver/meetings/link-passwords.ts';

/** Hashing is not what these specs are about. */
const cost = 4;
const PASSWORD = 'Elbphilharmonie';

describe('Guest link: the password of a link', () => {
  let passwords: LinkPasswords;
  let passwordHash: string;

  beforeEach(async () => {
    passwords = new LinkPasswords({ cost, rateLimitFactor: 1 });
    passwordHash = await passwords.hash(PASSWORD);
  });

  const guess = async (password: string, address: string, linkId = 'one'): Promise<string> => {
    try {
      await passwords.require({ linkId, passwordHash }, password, address);
      return 'right';
    } catch (error) {
      return (error as { errcode: string }).errcode;
    }
  };

  it('is kept as a salted scrypt hash', async () => {
    expect(passwordHash).toMatch(/^scrypt\$/);
    expect(passwordHash).not.toContain(PASSWORD);
    expect(await passwords.hash(PASSWORD)).not.toBe(passwordHash);
  });

  it('opens its link, in whatever Unicode form it was typed, and nothing else does', async () => {
    passwordHash = await passwords.hash('Lübeck im März');
    expect(await guess('Lübeck im März'.normalize('NFD'), '192.0.2.1')).toBe('right');
    for (const other of ['lübeck im märz', 'Lübeck im März ', 'x', 'Lübeck im Mär']) {
      expect(await guess(other, '192.0.2.1')).toBe(LINK_ERRORS.password);
    }
    await expectAsync(passwords.require({ linkId: 'open' }, undefined, '192.0.2.1')).toBeResolved();
  });

  it('can be guessed so often from one address, for all links, also when the guesses come at once', async () => {
    const { points } = LINK_PASSWORD_RATE_OF_ADDRESS;
    const guesses = Array.from({ length: points + 20 }, (_, n) => guess('wrong', '192.0.2.1', `link-${String(n)}`));
    const outcomes = await Promise.all(guesses);
    expect(outcomes.filter((outcome) => outcome === LINK_ERRORS.password).length).toBe(points);
    expect(outcomes.filter((outcome) => outcome === 'M_LIMIT_EXCEEDED').length).toBe(20);
    expect(await guess(PASSWORD, '192.0.2.1'))
      .withContext('nor is the right one looked at')
      .toBe('M_LIMIT_EXCEEDED');
    expect(await guess(PASSWORD, '192.0.2.2')).toBe('right');
    expect(await guess(PASSWORD, '2001:db8::1')).toBe('right');
  });

  it('can be guessed so often for one link, from all addresses', async () => {
    const { points } = LINK_PASSWORD_RATE;
    for (let n = 0; n < points; n += 1) {
      expect(await guess('wrong', `192.0.2.${String(n)}`)).toBe(LINK_ERRORS.password);
    }
    expect(await guess(PASSWORD, '198.51.100.1')).toBe('M_LIMIT_EXCEEDED');
    expect(await guess(PASSWORD, '198.51.100.1', 'two')).toBe('right');
  });

  it('is typed by a whole office without any of them being held up', async () => {
    for (let n = 0; n < 3 * LINK_PASSWORD_RATE_OF_ADDRESS.points; n += 1) {
      expect(await guess(PASSWORD, '192.0.2.1')).toBe('right');
    }
  });

  it('is missed without a guess being counted', async () => {
    for (let n = 0; n < 2 * LINK_PASSWORD_RATE_OF_ADDRESS.points; n += 1) {
      expect(await guess('', '192.0.2.1')).toBe(LINK_ERRORS.password);
    }
    expect(await guess(PASSWORD, '192.0.2.1')).toBe('right');
  });
});
