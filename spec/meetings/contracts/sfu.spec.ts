/** The fake SFU of the specs behaves like the real one, where a conference relies on it. */
import { FakeClock } from '../../support/fakes/clock.ts';
import { FakeSfu } from '../../support/fakes/sfu.ts';
import { BUILD_TIMEOUT, connect, eventually, Instance, workerBin } from '../../sfu/support.ts';
import { describeSfu } from './sfu.contract.ts';

describeSfu('the fake', async () => {
  const clock = new FakeClock();
  const sfu = new FakeSfu({ clock, address: '127.0.0.2' });
  const peer = new FakeSfu({ clock, address: '127.0.0.3' });
  sfu.proves = (_linkId, { address }) => address === '127.0.0.3';
  peer.proves = (_linkId, { address }) => address === '127.0.0.2';
  return {
    sfu,
    peer,
    loseWorker: () => sfu.loseWorker(),
    breakLine: () => sfu.breakLine(),
    async mendLine() {
      sfu.mendLine();
      await clock.settle();
    },
    pass: (ms) => clock.advance(ms),
    close: () => Promise.resolve(),
  };
});

describe('With media workers,', () => {
  beforeAll(workerBin, BUILD_TIMEOUT);

  describeSfu('the real one', async () => {
    const [own, other] = [await Instance.start('127.0.0.2'), await Instance.start('127.0.0.3')];
    return {
      sfu: own.client,
      peer: other.client,
      loseWorker(conferenceId) {
        process.kill(own.running.sfu.conference(conferenceId).worker.worker.pid, 'SIGKILL');
      },
      breakLine() {
        // Whoever comes next takes the place on the line.
        const next = connect(own.controlPath);
        next.onState(() => next.close());
      },
      async mendLine() {
        await eventually(() => own.client.hello === undefined);
        await own.connected();
      },
      pass: () => Promise.resolve(),
      async close() {
        await own.close();
        await other.close();
      },
    };
  });
});
