import { BUILD_TIMEOUT, Instance, eventually, openLink, workerBin } from './support.ts';

const CONFERENCE = '!loss:luebeck.example';

describe('the death of a media worker', () => {
  let luebeck: Instance;
  let hamburg: Instance;

  beforeAll(workerBin, BUILD_TIMEOUT);

  beforeEach(async () => {
    luebeck = await Instance.start('127.0.0.2', { workers: 2 });
    hamburg = await Instance.start('127.0.0.3');
  });

  afterEach(async () => {
    await luebeck.close();
    await hamburg.close();
  });

  const open = (instance: Instance, conferenceId = CONFERENCE) =>
    instance.client.request('conference.open', { conferenceId });

  function killWorkerOf(conferenceId: string): number {
    const { pid } = luebeck.running.sfu.conference(conferenceId).worker.worker;
    process.kill(pid, 'SIGKILL');
    return pid;
  }

  it('is told with its conferences and no others, once, and they open again', async () => {
    const others = ['!a:luebeck.example', '!b:luebeck.example', '!c:luebeck.example'];
    for (const conferenceId of [CONFERENCE, ...others]) await open(luebeck, conferenceId);
    const { sfu } = luebeck.running;
    const workerOf = (conferenceId: string) => sfu.conference(conferenceId).worker;
    const together = others.filter((conferenceId) => workerOf(conferenceId) === workerOf(CONFERENCE));
    expect(together.length).withContext('conferences are spread over the workers').toBe(1);
    const { id: transportId } = await luebeck.client.request('transport.create', {
      conferenceId: CONFERENCE,
      participantId: '@bert:luebeck.example/device',
      direction: 'send',
    });
    const dead = killWorkerOf(CONFERENCE);

    const told = await luebeck.hears('conference.lost');
    expect(told.conferenceIds).toEqual([CONFERENCE, ...together]);
    expect(luebeck.notifications.length).withContext('nothing but the one notification').toBe(1);
    expect(sfu.conferences.size).toBe(2);
    await expectAsync(luebeck.client.request('transport.restartIce', { transportId })).toBeRejectedWith(
      jasmine.objectContaining({ code: 'not-found' }),
    );
    expect((await open(luebeck)).rtpCapabilities.codecs?.length).toBeGreaterThan(0);
    await eventually(async () => {
      const { workers } = await luebeck.client.request('stats', {});
      return workers.length === 2 && workers.every(({ pid }) => pid !== dead);
    });
  });

  it('of the only worker lets an open wait for its successor', async () => {
    await open(hamburg);
    const { pid } = hamburg.running.sfu.conference(CONFERENCE).worker.worker;
    process.kill(pid, 'SIGKILL');
    await hamburg.hears('conference.lost');
    await open(hamburg);
    const made = await hamburg.client.request('transport.create', {
      conferenceId: CONFERENCE,
      participantId: '@anna:hamburg.example/device',
      direction: 'receive',
    });
    expect(made.iceCandidates[0]?.port).withContext('the same port for clients').toBe(hamburg.config.webRtcPort);
  });

  it('is an interruption for the peer of a link', async () => {
    await open(luebeck);
    await open(hamburg);
    const linkId = await openLink(luebeck, hamburg, CONFERENCE);
    killWorkerOf(CONFERENCE);
    const told = await hamburg.hears('link.state', ({ state }) => state === 'interrupted');
    expect(told.linkId).toBe(linkId);
    await expectAsync(luebeck.client.request('link.close', { linkId })).toBeRejectedWith(
      jasmine.objectContaining({ code: 'not-found' }),
    );
  }, 10_000);
});
