/** A homeserver that ends while people go on writing. */
import { pino } from 'pino';
import { MediaServer } from '../hostile/kit/media-server.ts';
import { SessionClient } from '../hostile/kit/session-client.ts';
import { at, startHomeservers } from '../support/homeservers.ts';
import { BUILD_TIMEOUT, workerBin } from '../sfu/support.ts';

describe('The end of a homeserver', () => {
  let media: MediaServer;

  beforeAll(async () => {
    await workerBin();
    media = await MediaServer.start();
  }, BUILD_TIMEOUT);
  afterAll(() => media.close());

  it('waits for the requests of sessions that it has begun to answer', async () => {
    const errors: string[] = [];
    const log = pino({ level: 'error' }, { write: (line: string) => void errors.push(line) });
    const federation = await startHomeservers(1, media.settings, [], log);
    const [server] = federation.servers;
    if (!server) throw new Error('There is no server.');
    const anna = await server.register('anna');
    const roomId = String(at(await anna.must('POST', 'client/v3/createRoom', {}), 'room_id'));
    const session = await SessionClient.open(server.url, anna.token);
    const texts = Array.from({ length: 30 }, (_, n) => String(n));
    const outcomes = texts.map((body) => session.ask('chat.send', { roomId, transactionId: `t${body}`, body }));
    await outcomes[0];

    await federation.close();
    expect(errors).toEqual([]);
  });
});
