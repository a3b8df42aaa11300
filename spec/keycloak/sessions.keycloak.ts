import { Browser } from '../accounts/identity-provider.ts';
import { at, eventually } from '../support/homeservers.ts';
import { SessionClient } from '../support/meetings.ts';
import {
  ACCESS_TOKEN_S,
  begin,
  house,
  logIn,
  meetingOf,
  redeem,
  refresh,
  START_PATIENCE_MS,
  whoami,
} from './support.ts';
import type { House, LoggedIn } from './support.ts';

/** A check is at most one access-token life away; the machine may be busy. */
const CHECK_PATIENCE_MS = ACCESS_TOKEN_S * 2_000;

describe('Login: sessions follow a real Keycloak', () => {
  let home: House;
  beforeAll(async () => {
    home = await house();
  }, START_PATIENCE_MS);

  const isIn = async (user: LoggedIn): Promise<boolean> => {
    const { status, body } = await whoami(home.luebeck, user);
    // An expired access token is no log-out: its client refreshes.
    return status === 200 || at(body, 'soft_logout') === true;
  };
  async function isOut(user: LoggedIn): Promise<void> {
    await eventually(
      () => isIn(user),
      (still) => !still,
      CHECK_PATIENCE_MS,
    );
    expect((await refresh(home.luebeck, user)).status).toBe(401);
  }

  it('end with their seat and the WebSocket within seconds when Keycloak logs one out, and no other device', async () => {
    const bert = await logIn(home.luebeck, 'hinnerk');
    const session = await home.realms.onlySession('luebeck', 'hinnerk');
    const elsewhere = await logIn(home.luebeck, 'hinnerk');
    const anna = await logIn(home.hamburg, 'anna');
    const roomId = await meetingOf({ server: home.luebeck, user: bert }, { server: home.hamburg, user: anna });
    const his = await SessionClient.open(home.luebeck, bert);
    const hers = await SessionClient.open(home.hamburg, anna);
    const { me } = await his.ask('conference.join', { roomId });
    await hers.ask('conference.join', { roomId });
    await his.hears('participant.joined', ({ userId }) => userId === anna.userId, 30_000);
    const closed = his.closed();
    const began = Date.now();
    await home.realms.admin('luebeck', 'DELETE', `sessions/${session}`);
    await closed;
    await hers.hears('participant.left', ({ participantId }) => participantId === me, 10_000);
    console.log(`  the seat ended ${String(Date.now() - began)} ms after the log-out at Keycloak was asked for`);
    await isOut(bert);
    expect(await isIn(elsewhere)).toBeTrue();
    hers.close();
  });

  it('end on all devices when Keycloak logs the person out', async () => {
    const devices = [await logIn(home.luebeck, 'dieter'), await logIn(home.luebeck, 'dieter')];
    const id = String(at(await home.realms.person('luebeck', 'dieter'), 'id'));
    await home.realms.admin('luebeck', 'POST', `users/${id}/logout`);
    for (const device of devices) await isOut(device);
  });

  it('end at Keycloak as well when somebody logs out here', async () => {
    const browser = new Browser();
    const greta = await logIn(home.luebeck, 'greta', browser);
    const again = await redeem(home.luebeck, (await begin(home.luebeck, browser)).next, browser);
    await greta.must('POST', 'client/v3/logout', {});
    await isOut(again);
    await eventually(
      () => begin(home.luebeck, browser),
      ({ next }) => next === undefined,
    );
  });

  it('end within one life of an access token when the account is disabled', async () => {
    const frieda = await logIn(home.luebeck, 'frieda');
    await home.realms.change('luebeck', 'frieda', { enabled: false });
    await isOut(frieda);
  });
});
