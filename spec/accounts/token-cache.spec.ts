import { TokenCache } from '../../homeserver/accounts/token-cache.ts';

describe('The cache of tokens', () => {
  const [one, two, three] = [Buffer.from('1'), Buffer.from('2'), Buffer.from('3')];

  it('forgets what belongs to one user, and nothing else', () => {
    const cache = new TokenCache<{ localpart: string }>(10);
    cache.put(one, { localpart: 'anna' }, cache.generation);
    cache.put(two, { localpart: 'anna' }, cache.generation);
    cache.put(three, { localpart: 'bert' }, cache.generation);
    cache.forget('anna');
    expect([cache.get(one), cache.get(two)]).toEqual([undefined, undefined]);
    expect(cache.get(three)).toEqual({ localpart: 'bert' });
  });

  it('does not keep what was read before something was forgotten', () => {
    const cache = new TokenCache<{ localpart: string }>(10);
    const { generation } = cache;
    cache.forget('anna');
    cache.put(one, { localpart: 'anna' }, generation);
    expect(cache.get(one)).toBeUndefined();
  });

  it('does not grow without bound', () => {
    const cache = new TokenCache<{ localpart: string }>(2);
    for (const hash of [one, two, three]) cache.put(hash, { localpart: 'anna' }, cache.generation);
    expect(cache.get(one)).toBeUndefined();
    expect(cache.get(three)).toBeDefined();
    cache.forget('anna');
    expect(cache.get(three)).toBeUndefined();
  });
});
