/** In a meeting: what is written, who is who, what is asked before leaving, and room for a shared screen on a phone. */
import type { Browser, Page } from 'playwright-core';
import { launchBrowser, logIn, openPage, passLobby, until } from './browser.ts';
import { createMeeting, matrixId, startPair } from './meeting.ts';
import type { Pair } from './meeting.ts';

/** Where there is no screen to choose, a drawn one is shared. */
const DRAWN_SCREEN = `{
  const canvas = Object.assign(document.createElement('canvas'), { width: 1280, height: 720 });
  const pen = canvas.getContext('2d');
  let count = 0;
  setInterval(() => {
    pen.fillStyle = ['#ffffff', '#0b5563'][(count += 1) % 2];
    pen.fillRect(0, 0, 1280, 720);
  }, 100);
  navigator.mediaDevices.getDisplayMedia = async () => canvas.captureStream(10);
}`;

describe('In a meeting', () => {
  let pair: Pair;
  let browser: Browser;
  /** Of Lübeck: leads. */
  let bert: Page;
  /** Of Hamburg. */
  let anna: Page;
  /** By a link of Lübeck, under the name of somebody who has an account there. */
  let guest: Page;

  beforeAll(async () => {
    pair = await startPair();
    browser = await launchBrowser();
    [bert, anna] = await Promise.all([
      logIn(browser, pair.luebeck.url, 'bert', 'demo'),
      logIn(browser, pair.hamburg.url, 'anna', 'demo'),
    ]);
    await createMeeting(bert, 'Elbquerung', [matrixId(pair.hamburg, 'anna')]);
    await bert.getByTestId('make-link').first().click();
    const link = await bert.getByTestId('link-url').inputValue();
    await bert.keyboard.press('Escape');
    await bert.locator('mat-dialog-container').waitFor({ state: 'detached' });
    await anna.getByTestId('accept-invitation').click();
    for (const page of [bert, anna]) {
      if (!page.url().includes('/lobby')) await page.getByTestId('join-meeting').first().click();
      await enterSilently(page);
    }
    guest = await openPage(browser, link);
    await guest.getByTestId('guest-name').fill('Bert Brandt');
    await guest.getByTestId('guest-continue').click();
    await enterSilently(guest);
    await tileOf(bert, '@guest').waitFor();
    await tileOf(anna, '@guest').waitFor();
  });

  afterAll(async () => {
    await browser.close();
    await pair.close();
  });

  async function enterSilently(page: Page): Promise<void> {
    await page.getByTestId('lobby-join-silent').click();
    await page.getByTestId('mute').waitFor();
  }

  const tileOf = (page: Page, userId: string) =>
    page.locator(`[data-testid=tile][data-source=camera][data-participant-id^="${userId}"]`);

  async function say(page: Page, text: string): Promise<void> {
    await page.getByTestId('chat-input').fill(text);
    await page.getByTestId('chat-send').click();
  }

  /** A request of the Matrix client API in the name of the person on this page. */
  function matrix(page: Page, method: string, path: string, body?: object): Promise<unknown> {
    return page.evaluate(
      async ([verb, url, content]) => {
        const { accessToken } = JSON.parse(localStorage.getItem('hansetag-session') ?? '{}') as {
          accessToken?: string;
        };
        const answer = await fetch(`/_matrix/client/v3${url}`, {
          method: verb,
          headers: { authorization: `Bearer ${accessToken ?? ''}` },
          ...(content === undefined ? {} : { body: JSON.stringify(content) }),
        });
        if (!answer.ok) throw new Error(`${verb} ${url}: ${await answer.text()}`);
        return (await answer.json()) as unknown;
      },
      [method, path, body] as const,
    );
  }

  it('everybody sees who is a guest: on the tile, in its label, in the list and in the chat', async () => {
    expect(await tileOf(anna, '@guest').getByTestId('guest-mark').count()).toBe(1);
    expect(await tileOf(anna, '@guest').getAttribute('aria-label')).toContain('(guest)');
    expect(await tileOf(anna, '@bert').getByTestId('guest-mark').count()).toBe(0);
    await anna.getByTestId('people-toggle').click();
    await anna.locator('[data-testid=person]').getByTestId('guest-mark').first().waitFor();
    expect(await anna.locator('[data-testid=person]').getByTestId('guest-mark').count()).toBe(1);
    await guest.getByTestId('chat-toggle').click();
    await say(guest, 'Moin');
    await anna.getByTestId('chat-toggle').click();
    await anna.getByTestId('chat-message').getByTestId('guest-mark').waitFor();
  });

  it('counts what was missed, says it to screen readers, and shows it when the chat opens', async () => {
    await until(async () => (await bert.getByTestId('chat-toggle').locator('.count').count()) === 1, 10_000);
    const live = bert.locator('.cdk-live-announcer-element');
    await until(async () => ((await live.textContent()) ?? '').includes('Moin'), 15_000);
    await bert.reload();
    await bert.getByTestId('lobby-join').waitFor();
    await say(anna, 'While you were away: https://hamburg.example/plan.');
    await passLobby(bert);
    await until(
      async () => (await bert.getByTestId('chat-toggle').locator('.count').textContent()) === '2 unread',
      15_000,
    );
    await bert.getByTestId('chat-toggle').click();
    const link = bert.getByTestId('chat-message').getByRole('link');
    expect(await link.getAttribute('href')).toBe('https://hamburg.example/plan');
    expect(await link.getAttribute('rel')).toBe('noopener noreferrer');
    await until(async () => (await bert.getByTestId('chat-toggle').locator('.count').count()) === 0, 5_000);
  });

  it('shows edits and deletions at once, and a new title and a new moderator', async () => {
    const roomId = decodeURIComponent(/meeting\/([^/]+)/.exec(bert.url())?.[1] ?? '');
    const text = bert.getByTestId('chat-message').filter({ hasText: 'While you were away' });
    const eventId = (await text.getAttribute('data-event-id')) ?? '';
    await matrix(anna, 'PUT', `/rooms/${roomId}/send/m.room.message/edit`, {
      msgtype: 'm.text',
      body: '* Later',
      'm.new_content': { msgtype: 'm.text', body: 'Later' },
      'm.relates_to': { rel_type: 'm.replace', event_id: eventId },
    });
    await bert.locator(`[data-event-id="${eventId}"]`).getByTestId('chat-edited').waitFor();
    expect(await bert.locator(`[data-event-id="${eventId}"] ht-message-text`).textContent()).toBe('Later');
    await matrix(anna, 'PUT', `/rooms/${roomId}/redact/${eventId}/delete`, {});
    for (const page of [bert, anna]) {
      await page.locator(`[data-event-id="${eventId}"]`).waitFor({ state: 'detached' });
    }
    await matrix(bert, 'PUT', `/rooms/${roomId}/state/m.room.name/`, { name: 'Elbe tunnel' });
    await until(async () => (await anna.locator('h1').textContent()) === 'Elbe tunnel', 10_000);
    expect(await anna.getByTestId('conference-invite').count()).toBe(0);
    const levels = (await matrix(bert, 'GET', `/rooms/${roomId}/state/m.room.power_levels/`)) as {
      users: Record<string, number>;
    };
    levels.users[matrixId(pair.hamburg, 'anna')] = 50;
    await matrix(bert, 'PUT', `/rooms/${roomId}/state/m.room.power_levels/`, levels);
    await anna.getByTestId('conference-invite').waitFor();
  });

  it('keeps a draft over panels, Escape and a reload, and the camera off that was off', async () => {
    await bert.getByTestId('chat-input').fill('Half a sen');
    await bert.getByTestId('people-toggle').click();
    await bert.keyboard.press('Escape');
    await bert.getByTestId('mute').click();
    await bert.locator('[data-testid=mute][aria-pressed=true]').waitFor();
    const questions: string[] = [];
    bert.once('dialog', (dialog) => {
      questions.push(dialog.type());
      dialog.accept().catch(() => undefined);
    });
    await bert.reload();
    expect(questions).toEqual(['beforeunload']);
    await bert.locator('[data-testid=lobby-microphone][aria-pressed=true]').waitFor();
    expect(await bert.getByTestId('lobby-camera').getAttribute('aria-pressed')).toBe('false');
    await bert.getByTestId('lobby-microphone').click();
    await passLobby(bert);
    await bert.getByTestId('chat-toggle').click();
    // The draft is the meeting's, and shown as soon as the meeting has been joined.
    await until(async () => (await bert.getByTestId('chat-input').inputValue()) === 'Half a sen', 10_000);
    await bert.getByTestId('chat-input').fill('');
  });

  it('asks before the way back leaves it, and whoever stays is where they were', async () => {
    const inside = bert.url();
    for (let times = 0; times < 2; times += 1) {
      await bert.goBack({ waitUntil: 'commit' }).catch(() => null);
      await bert.getByTestId('leave-question').waitFor();
      await bert.getByTestId('leave-no').click();
      await until(() => Promise.resolve(bert.url() === inside), 10_000);
      expect(await bert.getByTestId('mute').count()).toBe(1);
      await bert.locator('mat-dialog-container').waitFor({ state: 'detached' });
    }
    expect(await tileOf(anna, '@bert').count()).toBe(1);
    await bert.goBack({ waitUntil: 'commit' }).catch(() => null);
    await bert.getByTestId('leave-yes').click();
    await bert.getByTestId('lobby-join').waitFor();
    await until(async () => (await tileOf(anna, '@bert').count()) === 0, 10_000);
    await passLobby(bert);
  });

  it('gives a shared screen the most room on a small phone, upright and on its side', async () => {
    await anna.evaluate(DRAWN_SCREEN);
    await anna.getByTestId('share').click();
    const screen = bert.locator('[data-testid=tile][data-source=screen]');
    await screen.waitFor();
    for (const [width, height] of [
      [568, 320],
      [640, 360],
      [844, 390],
      [360, 640],
    ] as const) {
      await bert.setViewportSize({ width, height });
      // A picture of 16 to 9 fills at least this share of the window.
      await until(async () => {
        const box = await screen.boundingBox();
        if (!box) return false;
        const shown = Math.min(box.width, (box.height * 16) / 9);
        return (shown * shown * 9) / 16 > 0.28 * width * height;
      }, 5_000);
    }
    await anna.getByTestId('share').click();
  });
});
