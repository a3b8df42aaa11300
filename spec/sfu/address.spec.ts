import { parseControlAddress } from '../../sfu/address.ts';

describe('the address of the control connection', () => {
  it('is a unix socket when it is an absolute path', () => {
    expect(parseControlAddress('/run/hansetag/sfu.sock')).toEqual({ path: '/run/hansetag/sfu.sock' });
    expect(parseControlAddress('./sfu.sock')).toBeUndefined();
    expect(parseControlAddress('')).toBeUndefined();
  });

  it('has a path of at most 107 bytes, however many letters they are', () => {
    const longest = `/${'a'.repeat(106)}`;
    expect(parseControlAddress(longest)).toEqual({ path: longest });
    expect(parseControlAddress(`${longest}a`)).toBeUndefined();
    const twoBytesEach = `/${'ü'.repeat(53)}`;
    expect(parseControlAddress(twoBytesEach)).toEqual({ path: twoBytesEach });
    expect(parseControlAddress(`${twoBytesEach}a`)).toBeUndefined();
  });

  it('is TCP when it is a host and a port', () => {
    expect(parseControlAddress('127.0.0.1:7000')).toEqual({ host: '127.0.0.1', port: 7000 });
    expect(parseControlAddress('localhost:1')).toEqual({ host: 'localhost', port: 1 });
    expect(parseControlAddress('sfu-1.internal:65535')).toEqual({ host: 'sfu-1.internal', port: 65535 });
  });

  for (const text of ['localhost', 'localhost:', 'localhost:0', 'localhost:65536', 'localhost:-1']) {
    it(`is not ${text}, whose port is missing or out of range`, () => {
      expect(parseControlAddress(text)).toBeUndefined();
    });
  }

  it('has IPv6 in brackets', () => {
    expect(parseControlAddress('[::1]:7000')).toEqual({ host: '::1', port: 7000 });
    expect(parseControlAddress('[::ffff:127.0.0.1]:7000')).toEqual({ host: '::ffff:127.0.0.1', port: 7000 });
    expect(parseControlAddress('::1:7000')).toBeUndefined();
    expect(parseControlAddress('[::1]')).toBeUndefined();
  });

  for (const text of ['[:]:7000', '[12345]:7000', '[1::2::3]:7000', '[127.0.0.1]:7000']) {
    it(`is not ${text}, which has no IPv6 address in its brackets`, () => {
      expect(parseControlAddress(text)).toBeUndefined();
    });
  }

  for (const text of [' localhost:7000', 'localhost:7000 ', 'me@localhost:7000', 'a?b:7000', 'a#b:7000']) {
    it(`is not "${text}", which the URL of the client would take for another host`, () => {
      expect(parseControlAddress(text)).toBeUndefined();
    });
  }
});
