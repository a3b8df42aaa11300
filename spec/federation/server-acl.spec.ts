import type { JsonObject } from '../../federation/json.ts';
import { serverAllowed } from '../../federation/server-acl.ts';

describe('the access list of a room', () => {
  it('lets everybody in where there is none', () => {
    expect(serverAllowed(undefined, 'any.example')).toBeTrue();
  });

  it('lets in whom allow names and deny does not', () => {
    const cases: [content: JsonObject, server: string, allowed: boolean][] = [
      [{ allow: ['*'] }, 'a.example', true],
      [{ allow: ['*'], deny: ['*'] }, 'a.example', false],
      [{ allow: ['*'], deny: ['evil.example'] }, 'evil.example', false],
      [{ allow: ['*'], deny: ['evil.example'] }, 'not.evil.example', true],
      [{ allow: ['*'], deny: ['*.evil.example'] }, 'x.y.evil.example', false],
      [{ allow: ['*'], deny: ['*.evil.example'] }, 'evil.example', true],
      [{ allow: ['?.example'] }, 'a.example', true],
      [{ allow: ['?.example'] }, 'ab.example', false],
      [{ allow: ['a*b*c'] }, 'a-b-b-c', true],
      [{ allow: ['a*b*c'] }, 'a-b-b-d', false],
      [{ allow: ['a.example'] }, 'a-example', false],
      [{ allow: ['*'], deny: ['evil.example'] }, 'EVIL.example', false],
      [{ allow: ['*'], deny: ['Evil.Example'] }, 'evil.example', false],
      [{ allow: ['*'], deny: ['evil.example'] }, 'evil.example:8448', false],
      [{ allow: ['a.example:1'] }, 'a.example:1', false],
      [{}, 'a.example', false],
      [{ allow: '*' }, 'a.example', false],
      [{ allow: [1, null, '*'] }, 'a.example', true],
      [{ allow: ['*'], deny: 'evil.example' }, 'evil.example', true],
    ];
    for (const [content, server, allowed] of cases) {
      expect(serverAllowed(content, server))
        .withContext(`${JSON.stringify(content)} ${server}`)
        .toBe(allowed);
    }
  });

  it('can keep out servers without a name', () => {
    for (const server of ['1.2.3.4', '1.2.3.4:8448', '[::1]', '[::1]:8448']) {
      expect(serverAllowed({ allow: ['*'], allow_ip_literals: false }, server))
        .withContext(server)
        .toBeFalse();
      expect(serverAllowed({ allow: ['*'] }, server))
        .withContext(server)
        .toBeTrue();
      expect(serverAllowed({ allow: ['*'], allow_ip_literals: 'no' }, server))
        .withContext(server)
        .toBeTrue();
    }
    expect(serverAllowed({ allow: ['*'], deny: ['[::1]'] }, '[::1]:8448')).toBeFalse();
  });

  it('keeps out what is no server name', () => {
    for (const server of ['', 'a b', 'a:b', '*']) expect(serverAllowed({ allow: ['*'] }, server)).toBeFalse();
  });

  it('is not slowed down by a hostile list', () => {
    const deny = Array.from({ length: 500 }, () => `${'*a'.repeat(60)}b`);
    expect(serverAllowed({ allow: ['*'], deny }, 'a'.repeat(200))).toBeTrue();
  });
});
