/** Orders that people of ours give, without a network: what goes out, and in which order. */
import { createLog } from '../../homeserver/base/log.ts';
import type { Conference } from '../../homeserver/meetings/conference/conference.ts';
import { orderSchema } from '../../homeserver/meetings/conference/messages.ts';
import { Orders, type OrdersDeps } from '../../homeserver/meetings/conference/orders.ts';

const ROOM = '!room:luebeck.example';
const TARGET = '@carla:hamburg.example|DEVICE';
const ANNA = '@anna:luebeck.example';

describe('Moderation without trust: an order that is given', () => {
  let orders: Orders;
  let sent: { readonly number: number }[];
  /** How long it takes to read who somebody is. */
  let reading: (userId: string) => Promise<void>;
  const conference = {
    roomId: ROOM,
    seat: () => undefined,
    has: (participantId: string) => participantId === TARGET,
    servers: () => new Set(['hamburg.example']),
  } as unknown as Conference;

  beforeEach(() => {
    sent = [];
    reading = () => Promise.resolve();
    let number = 0;
    orders = new Orders({
      serverName: 'luebeck.example',
      rooms: {
        async stateEvent(_roomId: string, _type: string, userId: string) {
          await reading(userId);
          return undefined;
        },
      },
      rights: { require: () => Promise.resolve() },
      numbers: { next: () => Promise.resolve((number += 1)) },
      announcer: {
        order(_conference: Conference, _server: string, order: { readonly number: number }) {
          sent.push(order);
          return Promise.resolve(true);
        },
      },
      log: createLog('silent'),
    } as unknown as OrdersDeps);
    orders.on('mute', { right: 'mute', apply: () => undefined });
  });

  it('goes out in the turn of its number, as of two the lower one counts no more after the higher one', async () => {
    const slow = Promise.withResolvers<void>();
    reading = (userId) => (userId === ANNA ? slow.promise : Promise.resolve());
    const first = orders.give(conference, ANNA, 'mute', [TARGET]);
    await orders.give(conference, '@bert:luebeck.example', 'mute', [TARGET]);
    slow.resolve();
    await first;
    const numbers = sent.map(({ number }) => number);
    expect(numbers.length).toBe(2);
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
  });

  it('names whoever is in the conference, as others would refuse a message that names anything else', async () => {
    for (const name of ['xxxxx', '|||||', '@a:b|', `@${'a'.repeat(300)}:b|D`, `@a:b|${'D'.repeat(300)}`]) {
      expect(await orders.give(conference, ANNA, 'mute', [name])).toEqual({ unreached: [] });
      expect(sent).withContext(name).toEqual([]);
      await orders.give(conference, ANNA, 'mute', [name, TARGET, name]);
      const [order] = sent.splice(0);
      expect(orderSchema.safeParse(order).data?.participants)
        .withContext(name)
        .toEqual([{ user_id: '@carla:hamburg.example', device_id: 'DEVICE' }]);
    }
  });
});
