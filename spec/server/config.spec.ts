import { readFile } from 'node:fs/promises';
import { ConfigError, loadConfig, VARIABLES } from '../../homeserver/config.ts';
import { addressKey } from '../../homeserver/base/rate-limits.ts';

const PLAIN = {
  HANSETAG_SERVER_NAME: 'hamburg.example',
  HANSETAG_PUBLIC_URL: 'https://meet.hamburg.example/',
  HANSETAG_FEDERATION_CERT: '/cert.pem',
  HANSETAG_FEDERATION_KEY: '/key.pem',
  DATABASE_URL: 'postgres://hansetag:topsecret@localhost/hansetag',
  HANSETAG_SIGNING_KEY_FILE: '/signing.key',
};
const GOOD = {
  ...PLAIN,
  HANSETAG_ORGANISATION: 'Hansestadt Hamburg',
  HANSETAG_OIDC_ISSUER: 'https://id.hamburg.example/realms/staff',
  HANSETAG_OIDC_CLIENT_ID: 'hansetag',
  HANSETAG_OIDC_CLIENT_SECRET: 'topsecret',
  HANSETAG_SFU_CONTROL: '/run/sfu.sock',
  HANSETAG_SFU_SECRET: 'topsecret-topsecret',
};

function failure(env: Record<string, string | undefined>): string {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return '';
}

describe('The settings', () => {
  it('have defaults for what does not identify the instance', () => {
    const config = loadConfig(GOOD);
    expect(config.publicUrl).toBe('https://meet.hamburg.example');
    expect(config.clientListen).toEqual({ host: '127.0.0.1', port: 8440 });
    expect(config.federation.trust.mode).toBe('open');
    expect(config.rateLimitFactor).toBe(1);
    expect(config.exitWithParent).toBeFalse();
    expect(config.metricsListen).toBeUndefined();
  });

  it('read lists, addresses and hosts', () => {
    const config = loadConfig({
      ...GOOD,
      HANSETAG_CLIENT_LISTEN: '[::1]:9000',
      HANSETAG_FEDERATION_HOSTS: 'Bremen.example=127.0.0.3, luebeck.example=::1',
      HANSETAG_FEDERATION_ALLOWED_RANGES: '127.0.0.0/8,fd00::/8',
      HANSETAG_TRUST: 'allowlist',
      HANSETAG_TRUST_SERVERS: 'bremen.example,luebeck.example:8448',
    });
    expect(config.clientListen).toEqual({ host: '::1', port: 9000 });
    expect(config.federation.hosts.get('bremen.example')).toBe('127.0.0.3');
    expect(config.federation.hosts.get('luebeck.example')).toBe('::1');
    expect(config.federation.allowedRanges).toEqual(['127.0.0.0/8', 'fd00::/8']);
    expect([...config.federation.trust.servers]).toEqual(['bremen.example', 'luebeck.example:8448']);
  });

  it('name every variable that is missing, empty ones too', () => {
    const message = failure({ HANSETAG_ORGANISATION: '' });
    for (const name of Object.keys(PLAIN)) expect(message).toContain(`${name} is missing`);
    expect(message.split('\n').length).toBe(Object.keys(PLAIN).length + 1);
  });

  it('make a plain homeserver without identity provider, media server and accounts with passwords', () => {
    const config = loadConfig(PLAIN);
    expect(config.organisation).toBe('hamburg.example');
    expect(config.oidc).toBeUndefined();
    expect(config.sfu).toBeUndefined();
    expect(config.passwords).toEqual({ login: false, registration: false, cost: 15, adminSecret: undefined });
  });

  it('take tenants by claim with an identity provider and a file, and nothing of them without', () => {
    expect(loadConfig(GOOD).tenancy).toBeUndefined();
    const claim = { ...GOOD, HANSETAG_TENANTS: 'claim', HANSETAG_TENANTS_FILE: '/tenants.json' };
    expect(loadConfig(claim).tenancy).toEqual({ file: '/tenants.json', fallback: undefined });
    expect(loadConfig({ ...claim, HANSETAG_TENANTS_DEFAULT: 'altona' }).tenancy?.fallback).toBe('altona');
    const alone = failure({ ...PLAIN, HANSETAG_TENANTS: 'claim' });
    expect(alone).toContain('HANSETAG_TENANTS_FILE is missing: tenants by claim need it');
    expect(alone).toContain('HANSETAG_OIDC_ISSUER is missing: tenants by claim need it');
    const unused = failure({ ...GOOD, HANSETAG_TENANTS_DEFAULT: 'altona' });
    expect(unused).toContain('HANSETAG_TENANTS_DEFAULT makes sense only with HANSETAG_TENANTS=claim');
    for (const id of ['__proto__', 'x'.repeat(64), 'ältona']) {
      expect(failure({ ...claim, HANSETAG_TENANTS_DEFAULT: id })).toContain('HANSETAG_TENANTS_DEFAULT must be 1 to 63');
    }
  });

  it('name what is missing when only a part of an identity provider or of a media server is given', () => {
    const message = failure({ ...PLAIN, HANSETAG_OIDC_CLIENT_ID: 'x', HANSETAG_SFU_CONTROL: '/run/sfu.sock' });
    for (const name of ['HANSETAG_OIDC_ISSUER', 'HANSETAG_OIDC_CLIENT_SECRET', 'HANSETAG_SFU_SECRET']) {
      expect(message).toContain(`${name} is missing`);
    }
    expect(message.split('\n').length).toBe(4);
  });

  it('switch passwords, registration and administration on, and rate limits off', () => {
    const config = loadConfig({
      ...PLAIN,
      HANSETAG_PASSWORD_LOGIN: '1',
      HANSETAG_REGISTRATION: '1',
      HANSETAG_PASSWORD_COST: '10',
      HANSETAG_ADMIN_SECRET: 'complement',
      HANSETAG_RATE_LIMITS: 'off',
    });
    expect(config.passwords).toEqual({ login: true, registration: true, cost: 10, adminSecret: 'complement' });
    expect(config.rateLimitFactor).toBe(0);
    expect(loadConfig({ ...PLAIN, HANSETAG_RATE_LIMIT_FACTOR: '0' }).rateLimitFactor).toBe(0);
  });

  it('are all in the table of docs/configuration.md, and nothing else is', async () => {
    const text = await readFile(new URL('../../docs/configuration.md', import.meta.url), 'utf8');
    const listed = Array.from(text.matchAll(/^\| `([A-Z_]+)` +\|/gm), ([, name]) => name ?? '');
    expect(listed.toSorted()).toEqual(VARIABLES.toSorted());
  });

  it('say what is wrong without showing any value', () => {
    const wrong = {
      HANSETAG_SERVER_NAME: 'topsecret name',
      HANSETAG_COLOUR: 'topsecret',
      HANSETAG_PUBLIC_URL: 'ftp://topsecret',
      HANSETAG_CLIENT_LISTEN: 'topsecret',
      HANSETAG_FEDERATION_LISTEN: '127.0.0.1:99999',
      HANSETAG_FEDERATION_HOSTS: 'topsecret=1',
      HANSETAG_FEDERATION_ALLOWED_RANGES: '127.0.0.0/99',
      HANSETAG_TRUST: 'topsecret',
      HANSETAG_TRUST_SERVERS: 'top secret',
      DATABASE_URL: 'mysql://topsecret',
      HANSETAG_OIDC_ISSUER: 'https://user:topsecret@id.example',
      HANSETAG_SFU_SECRET: 'topsecret',
      HANSETAG_LOG_LEVEL: 'topsecret',
      HANSETAG_RATE_LIMIT_FACTOR: 'topsecret',
      HANSETAG_RATE_LIMITS: 'topsecret',
      HANSETAG_PASSWORD_LOGIN: 'topsecret',
      HANSETAG_PASSWORD_COST: '9',
      HANSETAG_ADMIN_SECRET: 'secret',
      HANSETAG_PROXIES: 'topsecret',
      HANSETAG_EXIT_WITH_PARENT: 'topsecret',
    };
    const message = failure({ ...GOOD, ...wrong });
    for (const name of Object.keys(wrong)) expect(message).withContext(name).toContain(`${name} must`);
    expect(message.split('\n').length).toBe(Object.keys(wrong).length + 1);
    expect(message).not.toContain('topsecret');
  });
});

describe('The address that requests are counted by', () => {
  it('is the whole IPv4 address and the network of an IPv6 address', () => {
    expect(addressKey('192.0.2.1')).toBe('192.0.2.1');
    expect(addressKey('::ffff:192.0.2.1')).toBe('192.0.2.1');
    expect(addressKey('2001:db8:1:2:aaaa::1')).toBe('2001:db8:1:2');
    expect(addressKey('2001:db8:1:2:bbbb:1:2:3')).toBe('2001:db8:1:2');
    expect(addressKey('2001:db8::1')).toBe('2001:db8:0:0');
    expect(addressKey('::1')).toBe('0:0:0:0');
    expect(addressKey('fe80::1%eth0')).toBe('fe80:0:0:0');
  });
});
