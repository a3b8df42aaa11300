import { LoginError } from '../../homeserver/accounts/login-error.ts';
import { CLAIM_NAMES, identityOf, merged } from '../../homeserver/accounts/upstream/claims.ts';

const WHO = { iss: 'https://id.hamburg.example', sub: '7f1c' };
/** What OpenTalk's realm says about somebody. */
const OPENTALK = {
  ...WHO,
  preferred_username: 'anna',
  given_name: 'Anna',
  family_name: 'Petersen',
  email: 'anna@hamburg.example',
  email_verified: true,
  picture: 'https://hamburg.example/anna.jpg',
  locale: 'de',
  x_grp: ['council', 'finance'],
  phone_number: '+49 40 1234567',
  tenant_id: 'hamburg',
  tariff_id: 'large',
  roles: ['hansetag-admin'],
};

describe('Login: claims', () => {
  it('are read as OpenTalk’s realm names them', () => {
    expect(identityOf(OPENTALK)).toEqual({
      issuer: WHO.iss,
      subject: WHO.sub,
      preferredUsername: 'anna',
      name: 'Anna Petersen',
      email: 'anna@hamburg.example',
      picture: 'https://hamburg.example/anna.jpg',
      language: 'de',
      groups: ['council', 'finance'],
      phone: '+49 40 1234567',
      tenant: 'hamburg',
      tariff: 'large',
      roles: ['hansetag-admin'],
    });
  });

  it('are read by the names of the settings, along dots where no claim has the whole name', () => {
    const names = { ...CLAIM_NAMES, roles: 'realm_access.roles', tenant: 'https://hamburg.example/tenant', name: 'n' };
    const identity = identityOf(
      {
        ...WHO,
        n: 'Anna',
        name: 'Somebody else',
        realm_access: { roles: ['a'] },
        'https://hamburg.example/tenant': 'council',
      },
      names,
    );
    expect([identity.name, identity.roles, identity.tenant]).toEqual(['Anna', ['a'], 'council']);
    expect(identityOf({ ...WHO, realm_access: null }, names).roles).toBeUndefined();
    expect(identityOf(WHO, { ...CLAIM_NAMES, roles: 'constructor.name' }).roles).toBeUndefined();
  });

  it('identify by every character: what differs by spaces only is another one', () => {
    const identity = identityOf({ ...OPENTALK, sub: ' 7f1c', tenant_id: 'hamburg ', tariff_id: ' ', name: ' Anna ' });
    expect([identity.subject, identity.tenant, identity.tariff]).toEqual([' 7f1c', 'hamburg ', '']);
    expect(identity.name).withContext('which identifies nobody').toBe('Anna');
  });

  it('bring a mail address only when the provider has verified it, by true and nothing like it', () => {
    for (const email_verified of [undefined, false, 'true', 1, null, [true]]) {
      expect(identityOf({ ...OPENTALK, email_verified }).email).toBeUndefined();
    }
    const { email_verified: _, ...unverified } = OPENTALK;
    expect(identityOf(unverified).email).toBeUndefined();
  });

  it('of another source do not verify the address of this one', () => {
    const first = { ...WHO, email: 'boss@hamburg.example' };
    const second = { email: 'anna@hamburg.example', email_verified: true, name: 'Anna' };
    const both = identityOf(merged(first, second, CLAIM_NAMES));
    expect([both.email, both.name]).toEqual([undefined, 'Anna']);
    expect(identityOf(merged(WHO, second, CLAIM_NAMES)).email).toBe('anna@hamburg.example');
    const unverified = { ...second, email_verified: false };
    expect(identityOf(merged({ ...WHO, email_verified: true }, unverified, CLAIM_NAMES)).email).toBeUndefined();
    // Nor do they say who it is.
    expect(identityOf(merged(first, { ...second, sub: 'other' }, CLAIM_NAMES)).subject).toBe(WHO.sub);
  });

  it('that say badly where somebody belongs say nothing that exists, which is not the same as nothing', () => {
    const long = 'x'.repeat(256);
    for (const tenant_id of [long, 7, ['a', 'b'], {}, '', ' ', 'a\0b', 'a\nb', '\ud800', false]) {
      const { tenant, tariff } = identityOf({ ...WHO, tenant_id, tariff_id: tenant_id });
      expect([tenant, tariff]).toEqual(['', '']);
    }
    for (const tenant_id of [undefined, null]) expect(identityOf({ ...WHO, tenant_id }).tenant).toBeUndefined();
  });

  it('that are malformed or too long count as absent', () => {
    expect(identityOf({ ...WHO, picture: 'javascript:alert(1)' }).picture).toBeUndefined();
    expect(identityOf({ ...WHO, phone_number: 'call me' }).phone).toBeUndefined();
    expect(identityOf({ ...WHO, locale: '../../de' }).language).toBeUndefined();
    expect(identityOf({ ...OPENTALK, email: 'not an address' }).email).toBeUndefined();
    expect(identityOf({ ...WHO, name: 'n'.repeat(10_000) }).name?.length).toBe(500);
  });

  it('with lists are bounded and hold only text', () => {
    const roles = ['a', 5, null, 'x'.repeat(300), ['b'], 'c'];
    expect(identityOf({ ...WHO, roles }).roles).toEqual(['a', 'c']);
    expect(identityOf({ ...WHO, roles: 'a' }).roles).toEqual(['a']);
    expect(identityOf({ ...WHO, roles: { a: true } }).roles).toBeUndefined();
    const x_grp = Array.from({ length: 5_000 }, (_, index) => String(index));
    expect(identityOf({ ...WHO, x_grp }).groups?.length).toBe(1_000);
    expect(identityOf(WHO).groups).toEqual([]);
    expect(identityOf(WHO).roles).toBeUndefined();
  });

  it('that do not say whom the provider means let nobody in', () => {
    for (const sub of [undefined, '', 7, 'x'.repeat(256), 'a\0b']) {
      expect(() => identityOf({ ...OPENTALK, sub })).toThrowError(LoginError);
    }
  });
});
