import { Lru } from '../../homeserver/rooms/lru.ts';

describe('A bounded map', () => {
  it('forgets what was not used for longest', () => {
    const lru = new Lru<string, number>(2);
    lru.set('a', 1);
    lru.set('b', 2);
    expect(lru.get('a')).toBe(1);
    lru.set('c', 3);
    expect(lru.get('b')).toBeUndefined();
    expect(lru.get('a')).toBe(1);
    expect(lru.get('c')).toBe(3);
  });

  it('keeps less of what weighs more, but always the newest', () => {
    const lru = new Lru<string, string>(10, (text) => text.length);
    lru.set('a', '1234');
    lru.set('b', '1234');
    lru.set('a', '12');
    lru.set('c', '1234');
    expect(['a', 'b', 'c'].map((key) => lru.get(key))).toEqual(['12', '1234', '1234']);
    lru.set('d', '123456789012');
    expect(['a', 'b', 'c', 'd'].map((key) => lru.get(key))).toEqual([undefined, undefined, undefined, '123456789012']);
    lru.delete('d');
    lru.set('a', '1234567890');
    expect(lru.get('a')).toBe('1234567890');
  });

  it('weighs a value that has changed when it is set again', () => {
    const lru = new Lru<string, string[]>(3, (list) => list.length);
    const list = ['x'];
    lru.set('a', list);
    list.push('y', 'z');
    lru.set('a', list);
    lru.set('b', ['x']);
    expect(lru.get('a')).toBeUndefined();
    expect(lru.get('b')).toEqual(['x']);
  });
});
