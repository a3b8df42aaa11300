/** The account management page: devices, and temporary permissions. */
import { escapeHtml } from '../pages.ts';
import type { Language } from '../pages.ts';
import type { Device } from '../sessions.ts';
import { page } from './pages.ts';
import type { Page } from './pages.ts';

const TEXTS = {
  de: {
    title: 'Ihr Konto',
    account: 'Angemeldet als',
    devices: 'Geräte',
    seen: 'zuletzt benutzt',
    end: 'Abmelden',
    reset: 'Verschlüsselung zurücksetzen',
    resetText:
      'Eine Anwendung möchte neue Schlüssel für Ihr Konto hinterlegen. Andere müssen Sie danach neu bestätigen, und ' +
      'alte Nachrichten können unlesbar werden. Fahren Sie nur fort, wenn Sie das selbst begonnen haben.',
    allow: 'Für zehn Minuten erlauben',
    allowed: 'Erlaubt. Gehen Sie jetzt zurück zur Anwendung.',
    leave: 'Diese Seite verlassen',
  },
  en: {
    title: 'Your account',
    account: 'Logged in as',
    devices: 'Devices',
    seen: 'last used',
    end: 'Log out',
    reset: 'Reset encryption',
    resetText:
      'An application wants to store new keys for your account. Others will have to verify you again, and old ' +
      'messages may become unreadable. Continue only if you have started this yourself.',
    allow: 'Allow for ten minutes',
    allowed: 'Allowed. Now go back to the application.',
    leave: 'Leave this page',
  },
} as const satisfies Record<Language, unknown>;

export interface AccountView {
  readonly userId: string;
  readonly devices: readonly Device[];
  /** Sent with every form, against cross-site request forgery. */
  readonly token: string;
  /** Whether a reset of cross-signing is requested, or was just allowed. */
  readonly reset: 'asked' | 'allowed' | undefined;
}

export function accountPage(language: Language, { userId, devices, token, reset }: AccountView): Page {
  const texts = TEXTS[language];
  const form = (fields: Readonly<Record<string, string>>, label: string): string =>
    [
      '<form method="post">',
      ...Object.entries({ ...fields, token }).map(
        ([name, value]) => `<input type="hidden" name="${name}" value="${escapeHtml(value)}">`,
      ),
      `<button>${label}</button></form>`,
    ].join('');
  return page(language, texts.title, [
    `<p>${texts.account} <strong>${escapeHtml(userId)}</strong></p>`,
    ...(reset === undefined ? [] : [`<h2>${texts.reset}</h2>`]),
    ...(reset === 'asked' ? [`<p>${texts.resetText}</p>`, form({ do: 'reset' }, texts.allow)] : []),
    ...(reset === 'allowed' ? [`<p role="status">${texts.allowed}</p>`] : []),
    `<h2>${texts.devices}</h2>`,
    '<ul>',
    ...devices.map(({ deviceId, displayName, lastSeenAt }) => {
      const name = escapeHtml(displayName ?? deviceId);
      const seen = new Date(lastSeenAt).toISOString().slice(0, 16).replace('T', ' ');
      return `<li>${name} (${escapeHtml(deviceId)}), ${texts.seen} ${seen} UTC ${form({ do: 'end', device: deviceId }, texts.end)}</li>`;
    }),
    '</ul>',
    form({ do: 'leave' }, texts.leave),
  ]);
}
