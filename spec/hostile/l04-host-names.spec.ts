/** One host has one name: a list that shuts it out can not be passed by another spelling. */
import { isServerName, isUserId } from '../../federation/identifiers.ts';
import { serverAllowed } from '../../federation/server-acl.ts';
import { isUserId as canBeInvited } from '../../protocol/matrix-id.ts';

describe('L4: names of servers', () => {
  const list = { allow: ['*'], deny: ['evil.example', '127.0.0.1', '[::1]', '*.bad.example'] };

  it('that the URL standard reads as another host are none, and pass no access list', () => {
    for (const name of [
      'evil.example.',
      'evil.example.:8448',
      'a.bad.example.',
      '127.1',
      '127.0.0.1.',
      '0x7f.0.0.1',
      '0x7f000001',
      '2130706433',
      '017700000001',
      '127.0.0.01',
      '1.2.3.4.5',
      'example.0x7f',
      'example.1',
      '.',
    ]) {
      expect(isServerName(name)).withContext(name).toBeFalse();
      expect(isUserId(`@mallory:${name}`))
        .withContext(name)
        .toBeFalse();
      expect(canBeInvited(`@mallory:${name}`))
        .withContext(name)
        .toBeFalse();
      expect(serverAllowed(list, name)).withContext(name).toBeFalse();
    }
  });

  it('that differ only in their form are one host for access lists', () => {
    for (const name of [
      'EVIL.example',
      'evil.example:8448',
      '127.0.0.1:1',
      '[::1]',
      '[0:0:0:0:0:0:0:1]:8448',
      '[0::0001]',
    ]) {
      expect(serverAllowed(list, name)).withContext(name).toBeFalse();
    }
    expect(serverAllowed({ allow: ['[0:0::1]'] }, '[0:0::1]')).toBeTrue();
  });

  it('of everyday form are still names', () => {
    for (const name of [
      'hamburg.example',
      'hamburg.example:8448',
      'localhost:22001',
      'matrix-1.stadt-luebeck.de',
      '10.1.2.3',
      '1.2.3.4:80',
      '[2001:db8::1]:8448',
      'xn--lbeck-kva.example',
      '3.example',
      'a--b.example',
    ]) {
      expect(isServerName(name)).withContext(name).toBeTrue();
      expect(canBeInvited(`@anna:${name}`))
        .withContext(name)
        .toBeTrue();
      expect(serverAllowed(list, name)).withContext(name).toBeTrue();
    }
  });
});
