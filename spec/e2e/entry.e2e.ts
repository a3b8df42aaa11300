/** Coming in, and being put out: invitations from elsewhere, guest links as mails carry them, and sessions that end. */
import type { Browser, Page } from 'playwright-core';
import { launchBrowser, logIn, openPage, passLobby } from './browser.ts';
import { createMeeting, enter, matrixId, startPair } from './meeting.ts';
import type { Pair } from './meeting.ts';

type Json = Record<string, unknown>;

/** Asks the own server in the name of who is logged in on a page. */
function ask(page: Page, method: string, path: string, body?: Json): Promise<{ status: number; json: Json }> {
  return page.evaluate(
    async ([how, where, text]) => {
      const stored = sessionStorage.getItem('hansetag-session') ?? localStorage.getItem('hansetag-session') ?? '{}';
      const { accessToken } = JSON.parse(stored) as { accessToken: string };
      const response = await fetch(where, {
        method: how,
        headers: { authorization: `Bearer ${accessToken}`, 'content-type': 'application/json' },
        ...(text === undefined ? {} : { body: text }),
      });
      return { status: response.status, json: (await response.json()) as Record<string, unknown> };
    },
    [method, path, body === undefined ? undefined : JSON.stringify(body)] as const,
  );
}

/** Ends the session of a page on the server; the page learns of it when it asks next. */
async function endSession(page: Page): Promise<void> {
  await ask(page, 'POST', '/_matrix/client/v3/logout', {});
}

describe('Coming into a meeting and out of it', () => {
  let pair: Pair;
  let browser: Browser;
  let bert: Page;
  let clara: Page;

  beforeAll(async () => {
    pair = await startPair();
    browser = await launchBrowser();
    [bert, clara] = await Promise.all([
      logIn(browser, pair.luebeck.url, 'bert', 'demo'),
      logIn(browser, pair.luebeck.url, 'clara', 'demo'),
    ]);
  });

  afterAll(async () => {
    await browser.close();
    await pair.close();
  });

  it('shows an invitation with times that do not exist beside all others', async () => {
    const created = await ask(bert, 'POST', '/_matrix/client/v3/createRoom', {
      name: 'Jahr 287396',
      preset: 'private_chat',
      initial_state: [{ type: 'org.hansetag.meeting', state_key: '', content: { starts_at: 9e15, ends_at: -1 } }],
    });
    expect(created.status).toBe(200);
    await createMeeting(clara, 'Claras Sprechstunde', []);
    await clara.getByTestId('meeting-card').filter({ hasText: 'Claras Sprechstunde' }).waitFor();
    const roomId = String(created.json['room_id']);
    await ask(bert, 'POST', `/_matrix/client/v3/rooms/${encodeURIComponent(roomId)}/invite`, {
      user_id: matrixId(pair.luebeck, 'clara'),
    });
    const errors: string[] = [];
    clara.on('pageerror', (error) => errors.push(error.message));
    await clara.reload();
    await clara.getByTestId('invitation-card').filter({ hasText: 'Jahr 287396' }).waitFor();
    await clara.getByTestId('meeting-card').filter({ hasText: 'Claras Sprechstunde' }).waitFor();
    await clara.getByTestId('accept-invitation').click();
    await clara.locator(`[data-testid=meeting-card][data-room-id="${roomId}"]`).getByTestId('join-meeting').click();
    await clara.getByTestId('lobby-join').waitFor();
    expect(errors).toEqual([]);
    await clara.goto(`${pair.luebeck.url}/en/`);
  });

  it('makes a meeting once and invites everybody who can be, whatever else was typed', async () => {
    await createMeeting(bert, 'Elbquerung', [
      `(${matrixId(pair.luebeck, 'clara')}).`,
      '@nobody:luebeck.localhost.invalid:1',
    ]);
    await bert.locator('[data-testid=invite-result][data-ok=true]').waitFor();
    await clara.getByTestId('invitation-card').filter({ hasText: 'Elbquerung' }).waitFor();
    await bert.getByTestId('meeting-done').click();
    await bert.locator('mat-dialog-container').waitFor({ state: 'detached' });
    expect(await bert.getByTestId('meeting-card').filter({ hasText: 'Elbquerung' }).count()).toBe(1);
  });

  it('asks a guest for the name again when the session has ended, and not for a log-in of the staff', async () => {
    const card = bert.getByTestId('meeting-card').filter({ hasText: 'Elbquerung' });
    await card.getByTestId('make-link').click();
    const link = await bert.getByTestId('link-url').inputValue();
    expect(await bert.getByTestId('link-url').evaluate((field: { scrollLeft: number }) => field.scrollLeft)).toBe(0);
    await bert.keyboard.press('Escape');
    // As it stands at the end of a sentence of a mail.
    const guest = await openPage(browser, `${link}>.`);
    await guest.getByTestId('guest-name').fill('Eva Eggers');
    await guest.getByTestId('guest-continue').click();
    await guest.getByTestId('lobby-join').waitFor();
    await endSession(guest);
    await guest.reload();
    await guest.getByTestId('guest-name').waitFor();
    expect(await guest.getByTestId('guest-name').inputValue()).toBe('Eva Eggers');
    expect(await guest.getByTestId('login-button').count()).toBe(0);
    await guest.getByTestId('guest-continue').click();
    await guest.getByTestId('lobby-join').waitFor();
    await guest.context().close();
  });

  it('lets nobody in by a login token that was taken out of another browser', async () => {
    const own = await openPage(browser, `${pair.luebeck.url}/en/`);
    const exchange = '**/_matrix/client/v3/login';
    // The page that begins is stopped before it can use its token.
    await own.route(exchange, (route) => route.abort());
    const asked = own.waitForRequest(exchange);
    await own.getByTestId('login-button').click();
    await own.locator('[name=login]').fill('bert');
    await own.locator('[name=password]').fill('demo');
    await own.locator('[type=submit]').click();
    const body = (await asked).postData() ?? '';
    expect(body).toContain('hsl_');
    const elsewhere = await openPage(browser, `${pair.luebeck.url}/en/`);
    const redeem = (page: Page): Promise<number> =>
      page.evaluate(
        async (text) => (await fetch('/_matrix/client/v3/login', { method: 'POST', body: text })).status,
        body,
      );
    expect(await redeem(elsewhere)).toBe(403);
    await own.unroute(exchange);
    expect(await redeem(own)).toBe(403);
    await own.context().close();
    await elsewhere.context().close();
  });

  it('says in the middle of a meeting that the log-in has ended, and comes back to the same meeting', async () => {
    const card = bert.getByTestId('meeting-card').filter({ hasText: 'Elbquerung' });
    const roomId = await card.getAttribute('data-room-id');
    await card.getByTestId('join-meeting').click();
    await bert.waitForURL('**/lobby');
    await enter(bert);
    await bert.getByTestId('conference-invite').click();
    await bert.locator('mat-dialog-container').waitFor();
    await endSession(bert);
    await bert.getByTestId('session-ended').waitFor();
    await bert.locator('mat-dialog-container').waitFor({ state: 'detached', timeout: 5_000 });
    await bert.getByTestId('login-button').click();
    const lobby = bert.getByTestId('lobby-join');
    await lobby.or(bert.locator('[name=login]')).first().waitFor();
    if ((await lobby.count()) === 0) {
      await bert.locator('[name=login]').fill('bert');
      await bert.locator('[name=password]').fill('demo');
      await bert.locator('[type=submit]').click();
    }
    await lobby.waitFor();
    expect(decodeURIComponent(bert.url())).toContain(String(roomId));
    await passLobby(bert);
  });
});
