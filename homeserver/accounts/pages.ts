/** The few HTML pages of this server, between the identity provider and the client. */
import { createHash } from 'node:crypto';
import type { Request, Response } from 'express';
import type { LoginFailure } from './login-error.ts';

export type Language = 'de' | 'en';

const TEXTS = {
  de: {
    failedTitle: 'Anmeldung nicht möglich',
    failed: {
      unavailable: 'Der Anmeldedienst Ihrer Organisation antwortet gerade nicht. Bitte versuchen Sie es später erneut.',
      unknown:
        'Diese Anmeldung ist abgelaufen oder wurde in einem anderen Browser begonnen. Bitte melden Sie sich neu an.',
      refused: 'Der Anmeldedienst Ihrer Organisation hat die Anmeldung abgelehnt.',
      'no-tenant':
        'Ihr Konto ist beim Anmeldedienst noch keiner Organisation dieses Servers zugeordnet. Bitte wenden Sie sich an die Stelle, die Ihre Konten verwaltet; danach können Sie sich anmelden.',
      'unknown-tenant':
        'Ihr Konto ist beim Anmeldedienst einer Organisation zugeordnet, die es auf diesem Server nicht gibt. Bitte wenden Sie sich an die Stelle, die Ihre Konten verwaltet.',
    },
    again: 'Zurück zur Startseite',
    confirmTitle: 'Mit Ihrem Konto fortfahren?',
    confirm: 'Diese Anwendung möchte auf Ihr Konto zugreifen:',
    warning: 'Fahren Sie nur fort, wenn Sie die Anmeldung dort selbst begonnen haben.',
    proceed: 'Fortfahren',
    cancel: 'Abbrechen',
    graveTitle: 'Wirklich fortfahren?',
    grave: 'Ein Gerät, das mit Ihrem Konto angemeldet ist, möchte etwas Wichtiges an Ihrem Konto ändern:',
    graveWarning:
      'Fahren Sie nur fort, wenn Sie das selbst gerade begonnen haben. Sie melden sich dazu noch einmal an.',
    operations: {
      deactivate: 'Das Konto wird für immer geschlossen. Es verlässt alle Besprechungen und Räume.',
      password: 'Das Konto bekommt ein neues Passwort.',
      loginToken: 'Ein weiteres Gerät wird mit dem Konto angemeldet.',
      replaceKeys:
        'Die Schlüssel des Kontos werden ersetzt. Andere müssen Sie dann neu bestätigen, und alte verschlüsselte Nachrichten können unlesbar werden.',
      endDevices: 'Diese Geräte werden abgemeldet:',
    },
    doneTitle: 'Bestätigt',
    done: 'Sie können dieses Fenster schließen.',
  },
  en: {
    failedTitle: 'Log-in failed',
    failed: {
      unavailable: 'The log-in service of your organisation does not answer. Please try again later.',
      unknown: 'This log-in has expired or was started in another browser. Please log in again.',
      refused: 'The log-in service of your organisation has refused the log-in.',
      'no-tenant':
        'At the log-in service, your account does not belong to an organisation of this server yet. Please ask those who manage your accounts; then you can log in.',
      'unknown-tenant':
        'At the log-in service, your account belongs to an organisation that this server does not have. Please ask those who manage your accounts.',
    },
    again: 'Back to the start page',
    confirmTitle: 'Continue with your account?',
    confirm: 'This application asks for access to your account:',
    warning: 'Continue only if you have started the log-in there yourself.',
    proceed: 'Continue',
    cancel: 'Cancel',
    graveTitle: 'Really continue?',
    grave: 'A device that is logged in to your account wants to change something important about it:',
    graveWarning: 'Continue only if you have just started this yourself. You will log in once more for it.',
    operations: {
      deactivate: 'The account is closed for good. It leaves all meetings and rooms.',
      password: 'The account gets a new password.',
      loginToken: 'Another device is logged in to the account.',
      replaceKeys:
        'The keys of the account are replaced. Others will have to verify you again, and old encrypted messages may become unreadable.',
      endDevices: 'These devices are logged out:',
    },
    doneTitle: 'Confirmed',
    done: 'You can close this window.',
  },
} as const satisfies Record<Language, unknown>;

/** It only reveals that it is done, so any origin may receive it. */
const DONE_SCRIPT =
  "if (window.onAuthDone) window.onAuthDone(); else if (window.opener) window.opener.postMessage('authDone', '*');";

/** A page that says why a log-in failed. */
export function sendFailurePage(request: Request, response: Response, failure: LoginFailure): void {
  const language = languageOf(request);
  const texts = TEXTS[language];
  const status = { unavailable: 502, unknown: 400, refused: 403, 'no-tenant': 403, 'unknown-tenant': 403 }[failure];
  sendPage(response, status, language, texts.failedTitle, [
    `<p>${escapeHtml(texts.failed[failure])}</p>`,
    `<p><a href="/">${texts.again}</a></p>`,
  ]);
}

/**
 * A page that names another origin before it gets a login token.
 *
 * @param target the URL with the token
 */
export function sendConfirmationPage(request: Request, response: Response, target: URL): void {
  const language = languageOf(request);
  const texts = TEXTS[language];
  // URI schemes of apps have no origin.
  const name = target.origin === 'null' ? target.protocol : target.origin;
  sendPage(response, 200, language, texts.confirmTitle, [
    `<p>${texts.confirm}</p>`,
    `<p><strong>${escapeHtml(name)}</strong></p>`,
    `<p>${texts.warning}</p>`,
    `<p><a href="${escapeHtml(target.href)}" rel="noreferrer">${texts.proceed}</a> · <a href="/">${texts.cancel}</a></p>`,
  ]);
}

/**
 * A page that asks whether the user started a sensitive operation themselves. @param next where it continues
 *
 * @param next where it goes on
 */
export function sendGravePage(request: Request, response: Response, operation: string, next: string): void {
  const language = languageOf(request);
  const texts = TEXTS[language];
  sendPage(response, 200, language, texts.graveTitle, [
    `<p>${texts.grave}</p>`,
    `<p><strong>${inWords(operation, language)}</strong></p>`,
    `<p>${texts.graveWarning}</p>`,
    `<p><a href="${escapeHtml(next)}">${texts.proceed}</a> · <a href="/">${texts.cancel}</a></p>`,
  ]);
}

/**
 * Describes an operation, as HTML. @param operation as `Uia` names it: method and path of the request, and devices
 *
 * @param operation as `Uia` knows it: method and path of the request, and devices
 */
function inWords(operation: string, language: Language): string {
  const { operations } = TEXTS[language];
  const [method = '', path = '', ...rest] = operation.split(' ');
  switch (`${method} ${path.replace(/^\/devices\/.*$/, '/devices')}`) {
    case 'POST /account/deactivate':
      return operations.deactivate;
    case 'POST /account/password':
      return operations.password;
    case 'POST /login/get_token':
      return operations.loginToken;
    case 'POST /keys/device_signing/upload':
      return operations.replaceKeys;
    case 'DELETE /devices':
      return `${operations.endDevices} <bdi>${escapeHtml(operation.slice('DELETE /devices/'.length))}</bdi>`;
    case 'POST /delete_devices':
      return `${operations.endDevices} ${rest.map((device) => `<bdi>${escapeHtml(device)}</bdi>`).join(', ')}`;
    default:
      // An operation without description: better its name than nothing.
      return `<code>${escapeHtml(operation)}</code>`;
  }
}

/**
 * A page that notifies the client that opened it of the confirmation.
 *
 * @see Matrix specification, client-server API, "Fallback"
 */
export function sendDonePage(request: Request, response: Response): void {
  const language = languageOf(request);
  const texts = TEXTS[language];
  const hash = createHash('sha256').update(DONE_SCRIPT).digest('base64');
  response.set(
    'Content-Security-Policy',
    `default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-${hash}'; frame-ancestors 'none'`,
  );
  sendPage(response, 200, language, texts.doneTitle, [`<p>${texts.done}</p>`, `<script>${DONE_SCRIPT}</script>`]);
}

/** The language of a page, from the browser's preferences. */
export function chooseLanguage(request: { acceptsLanguages(languages: string[]): string | false }): Language {
  return request.acceptsLanguages(['de', 'en']) === 'en' ? 'en' : 'de';
}

function languageOf(request: Request): Language {
  return chooseLanguage(request);
}

function sendPage(
  response: Response,
  status: number,
  language: Language,
  title: string,
  body: readonly string[],
): void {
  response
    .status(status)
    .set('Cache-Control', 'no-store')
    .type('html')
    .send(pageHtml(language, title, body));
}

/** The HTML of a page of this server. @param body HTML as well */
export function pageHtml(language: Language, title: string, body: readonly string[]): string {
  return `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title} – Hansetag</title>
<style>body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 4rem auto; padding: 0 1rem }</style>
</head>
<body>
<main>
<h1>${title}</h1>
${body.join('\n')}
</main>
</body>
</html>
`;
}

export function escapeHtml(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}
