/**
 * What a copy of the media credentials is worth: the id of a session, ids of transports, ICE credentials and the
 * addresses of the media server, all of which pass through the client.
 */
import type { ClientTransport } from '../../sfu/transports.ts';
import { MeetingPlace } from '../hostile/kit/meeting.ts';
import type { Member } from '../hostile/kit/meeting.ts';
import { SessionClient } from '../hostile/kit/session-client.ts';
import type { Outcome } from '../hostile/kit/session-client.ts';
import { BUILD_TIMEOUT, CAMERA, workerBin } from '../sfu/support.ts';
import { eventually } from '../support/homeservers.ts';
import { WebRtcClient } from '../worker/webrtc-client.ts';

/** The end of a dropped session takes its time, and OpenSSL repeats itself after some seconds. */
const PATIENCE_MS = 30_000;
const until = (condition: () => boolean): Promise<boolean> => eventually(async () => condition(), Boolean, PATIENCE_MS);
const codeOf = (outcome: Outcome): string => ('error' in outcome ? outcome.error.code : 'none');

describe('Media token binding', () => {
  let place: MeetingPlace;
  let host: Member;
  let mallory: Member;
  let anna: Member;
  let name: string;
  let people = 0;
  let roomId: string;
  let hers: SessionClient;
  let his: SessionClient;
  let ends: WebRtcClient[];

  beforeAll(async () => {
    await workerBin();
    place = await MeetingPlace.start();
    host = await place.register('host');
    mallory = await place.register('mallory');
  }, BUILD_TIMEOUT);
  afterAll(() => place.close());

  beforeEach(async () => {
    ends = [];
    name = `anna${String((people += 1))}`;
    anna = await place.register(name);
    roomId = await place.meeting(host, [anna, mallory]);
    hers = await anna.session();
    await hers.join(roomId);
    his = await mallory.session();
    await his.join(roomId);
  });
  afterEach(async () => {
    for (const end of ends) end.close();
    for (const session of [hers, his]) {
      await session.ask('conference.leave');
      await session.close();
    }
  });

  /** A browser's media at a place of its own. */
  async function mediaEnd(): Promise<WebRtcClient> {
    const { listenIp: address, webRtcPort: port } = place.media.config;
    const end = await WebRtcClient.open({ address, port });
    ends.push(end);
    return end;
  }
  /** The media server's half. */
  function inSfu(transportId: string): ClientTransport | undefined {
    return place.media.running.sfu.conferences.get(roomId)?.transports.get(transportId);
  }
  const dtlsOf = (transportId: string): string | undefined => inSfu(transportId)?.transport.dtlsState;
  function mediaOf({ media }: SessionClient) {
    if (!media) throw new Error('There is no media.');
    return media;
  }
  /** Whether the media server still answers to ICE credentials that were copied, each tried at a place of its own. */
  async function isAnswered(copied: ReturnType<typeof mediaOf>): Promise<boolean[]> {
    const answers = [false, false];
    for (const [index, { iceParameters }] of [copied.send, copied.receive].entries()) {
      const elsewhere = await mediaEnd();
      elsewhere.check(iceParameters).then(
        () => (answers[index] = true),
        () => undefined,
      );
    }
    // Those of somebody who is there are answered, and by then what came before has been read.
    const witness = await mediaEnd();
    for (let count = 0; count < 3; count += 1) await witness.check(mediaOf(his).send.iceParameters);
    return answers;
  }
  /** Somebody elsewhere who has copied the id of a session. */
  async function copyOf(session: SessionClient, { user }: Member): Promise<{ copy: SessionClient; resumed: boolean }> {
    const copy = new SessionClient(place.server.url, user.token);
    copy.sessionId = session.sessionId;
    return { copy, resumed: await copy.connect() };
  }

  it('lets nobody else use the transports of a session, who is in the same conference, by their ids', async () => {
    const { send, receive, rtpCapabilities } = mediaOf(hers);
    const end = await mediaEnd();
    const dtlsParameters = { role: 'client', fingerprints: [end.makeCertificate()] };
    for (const { id: transportId } of [send, receive]) {
      expect(codeOf(await his.ask('media.connect', { transportId, dtlsParameters }))).toBe('not-found');
      expect(codeOf(await his.ask('media.restart-ice', { transportId }))).toBe('not-found');
      const publication = { transportId, source: 'camera', rtpParameters: CAMERA, paused: false };
      expect(codeOf(await his.ask('media.publish', publication))).toBe('not-found');
      const watch = [{ participantId: anna.participantId, source: 'camera' }];
      expect(codeOf(await his.ask('media.watch', { transportId, rtpCapabilities, watch }))).toBe('not-found');
    }
    const kept = { send: send.id, receive: receive.id, consumers: [] };
    const joined = (await his.must('conference.join', { roomId, keepMedia: kept })) as { media?: typeof his.media };
    expect([send.id, receive.id]).not.toContain(joined.media?.send.id ?? send.id);
    his.media = joined.media;
    expect(dtlsOf(send.id)).toBe('new');
    expect(await isAnswered(mediaOf(hers))).toEqual([true, true]);
  });

  it('gives a session to no other person and no other device that names it', async () => {
    const otherDevice = await place.logIn(name);
    for (const thief of [mallory, otherDevice]) {
      const { copy, resumed } = await copyOf(hers, thief);
      expect(resumed).toBeFalse();
      expect(copy.sessionId).not.toBe(hers.sessionId);
      expect(codeOf(await copy.ask('media.open'))).toBe('not-in-conference');
      await copy.close();
    }
    const nobody = new SessionClient(place.server.url, 'hst_copied');
    nobody.sessionId = hers.sessionId;
    await expectAsync(nobody.connect()).toBeRejectedWithError(/unauthorised/);
    expect(codeOf(await hers.ask('ping'))).toBe('none');
    expect(hers.heard('conference.ended')).toEqual([]);
  });

  it('has one place: with the device’s own token elsewhere, the first place has nothing left', async () => {
    const old = mediaOf(hers);
    const first = await mediaEnd();
    const connect = (dtlsParameters: object) => ({ transportId: old.send.id, dtlsParameters });
    await hers.must('media.connect', connect({ role: 'client', fingerprints: [first.makeCertificate()] }));
    const closed = new Promise((resolve) => hers.socket.once('close', resolve));
    const { copy, resumed } = await copyOf(hers, anna);
    expect(resumed).toBeTrue();
    expect(await closed).toBe(4001);
    // The session has moved. Its transports are bound to the key in the first browser, and stay so.
    const second = await mediaEnd();
    const foreign = connect({ role: 'client', fingerprints: [second.makeCertificate()] });
    expect(codeOf(await copy.ask('media.connect', foreign))).toBe('conflict');
    await copy.must('media.open');
    expect(await isAnswered(old)).toEqual([false, false]);
    expect(inSfu(old.send.id)).toBeUndefined();
    await copy.ask('conference.leave');
    await copy.close();
  });

  it('gives no media to a second place that has the ICE credentials, before or after the browser has come', async () => {
    const { send } = mediaOf(hers);
    const browser = await mediaEnd();
    const thief = await mediaEnd();
    const fingerprints = [browser.makeCertificate()];
    await hers.must('media.connect', { transportId: send.id, dtlsParameters: { role: 'client', fingerprints } });
    await browser.check(send.iceParameters);
    browser.startDtls();
    await until(() => dtlsOf(send.id) === 'connected');

    thief.makeCertificate();
    await thief.check(send.iceParameters);
    thief.startDtls();
    await until(() => thief.handshake.sent >= 3);
    expect(thief.handshake.received).toBe(0);
    expect(dtlsOf(send.id)).toBe('connected');

    // One who comes first gets no further, as the fingerprint is that of another key.
    const { receive } = mediaOf(hers);
    await hers.must('media.connect', { transportId: receive.id, dtlsParameters: { role: 'client', fingerprints } });
    const early = await mediaEnd();
    early.makeCertificate();
    await early.check(receive.iceParameters);
    early.startDtls();
    await until(() => dtlsOf(receive.id) === 'failed');
  }, 60_000);

  for (const [how, end] of [
    ['leaves', () => hers.must('conference.leave')],
    ['is removed from the meeting', () => remove()],
    ['is banned', () => order('moderation.ban')],
    ['is sent back to wait', () => order('moderation.send-to-waiting')],
    ['is one of those for whom the meeting ends', () => order('moderation.end')],
    ['does not come back after the connection broke', async () => hers.drop()],
    ['logs out', () => logOut()],
  ] as const) {
    it(`leaves nothing that works when somebody ${how}`, async () => {
      const copied = mediaOf(hers);
      const { sessionId } = hers;
      const browser = await mediaEnd();
      const dtlsParameters = { role: 'client', fingerprints: [browser.makeCertificate()] };
      await hers.must('media.connect', { transportId: copied.send.id, dtlsParameters });
      await browser.check(copied.send.iceParameters);
      browser.startDtls();
      await until(() => dtlsOf(copied.send.id) === 'connected');
      expect(await isAnswered(copied)).toEqual([true, true]);
      await end();
      await until(() => !inSfu(copied.send.id) && !inSfu(copied.receive.id));
      expect(await isAnswered(copied)).toEqual([false, false]);

      const isOut = how === 'logs out';
      const thief = new SessionClient(place.server.url, anna.user.token);
      thief.sessionId = sessionId;
      if (isOut) {
        await expectAsync(thief.connect()).toBeRejectedWithError(/unauthorised/);
        return;
      }
      await thief.connect();
      const again = { transportId: copied.send.id, dtlsParameters };
      expect(codeOf(await thief.ask('media.connect', again))).toBe('not-in-conference');
      const keepMedia = { send: copied.send.id, receive: copied.receive.id, consumers: [] };
      const rejoined = await thief.ask('conference.join', { roomId, keepMedia });
      if ('error' in rejoined) expect(rejoined.error.code).toMatch(/^(forbidden|must-wait)$/);
      else {
        expect(how).not.toMatch(/removed|banned|wait/);
        const { media } = (rejoined as { result: { media?: { send: { id: string } } } }).result;
        expect(media?.send.id).toBeDefined();
        expect(media?.send.id).not.toBe(copied.send.id);
      }
      await thief.ask('conference.leave');
      await thief.close();
    }, 60_000);
  }

  async function order(method: 'moderation.ban' | 'moderation.send-to-waiting' | 'moderation.end'): Promise<void> {
    const leading = await host.session();
    await leading.join(roomId);
    // What is still answered shows that the others are not.
    his = leading;
    await leading.must(
      method,
      method === 'moderation.end' ? { for: 'participants' } : { participantIds: [anna.participantId] },
    );
  }
  async function remove(): Promise<void> {
    const kick = `client/v3/rooms/${encodeURIComponent(roomId)}/kick`;
    await host.user.must('POST', kick, { user_id: anna.user.userId });
  }
  async function logOut(): Promise<void> {
    await anna.user.must('POST', 'client/v3/logout', {});
  }
});
