/** Pages of the OAuth 2.0 API: password log-in, consent, and the device authorization grant. */
import { escapeHtml, pageHtml } from '../pages.ts';
import type { Language } from '../pages.ts';

/** Path of log-in and consent, below the provider's URL. */
export const INTERACTION_PATH = '/interaction';

const TEXTS = {
  de: {
    loginTitle: 'Anmelden',
    user: 'Benutzername',
    password: 'Passwort',
    login: 'Anmelden',
    wrong: 'Benutzername oder Passwort ist falsch.',
    organisation: 'Mit dem Anmeldedienst der Organisation anmelden',
    consentTitle: 'Zugriff erlauben?',
    consent: 'Diese Anwendung möchte auf Ihr Konto zugreifen und alles tun, was Sie tun können:',
    account: 'Ihr Konto',
    target: 'Es geht weiter bei',
    device: 'Neues Gerät',
    allow: 'Erlauben',
    deny: 'Ablehnen',
    codeTitle: 'Gerät verbinden',
    code: 'Geben Sie den Code ein, den das Gerät zeigt.',
    wrongCode: 'Dieser Code ist falsch oder abgelaufen.',
    confirmCode: 'Zeigt das Gerät genau diesen Code? Fahren Sie nur dann fort.',
    proceed: 'Weiter',
    cancel: 'Abbrechen',
    doneTitle: 'Fertig',
    done: 'Das Gerät ist jetzt angemeldet. Sie können dieses Fenster schließen.',
    failedTitle: 'Das hat nicht funktioniert',
    failed: 'Bitte beginnen Sie in der Anwendung neu.',
  },
  en: {
    loginTitle: 'Log in',
    user: 'User name',
    password: 'Password',
    login: 'Log in',
    wrong: 'The user name or the password is wrong.',
    organisation: 'Log in with the service of the organisation',
    consentTitle: 'Allow access?',
    consent: 'This application wants to use your account and do everything that you can do:',
    account: 'Your account',
    target: 'It goes on at',
    device: 'New device',
    allow: 'Allow',
    deny: 'Refuse',
    codeTitle: 'Connect a device',
    code: 'Type the code that the device shows.',
    wrongCode: 'This code is wrong or has expired.',
    confirmCode: 'Does the device show exactly this code? Go on only then.',
    proceed: 'Continue',
    cancel: 'Cancel',
    doneTitle: 'Done',
    done: 'The device is logged in now. You can close this window.',
    failedTitle: 'This did not work',
    failed: 'Please start again in the application.',
  },
} as const satisfies Record<Language, unknown>;

export interface Consent {
  /** The client's name. */
  readonly client: string;
  readonly userId: string;
  readonly deviceId: string;
  /** Where the browser is redirected; undefined in the device authorization grant. */
  readonly redirectUri: string | undefined;
}

/** A page in one language. */
export interface Page {
  readonly html: string;
  /** For `Content-Security-Policy`. */
  readonly policy: string;
}

/**
 * @param organisation the query that leads to the identity provider, if any
 *
 * @param organisation the query of this page that leads to the identity provider, if there is one
 */
export function passwordPage(language: Language, failed: boolean, organisation?: string): Page {
  const texts = TEXTS[language];
  return page(language, texts.loginTitle, [
    failed ? `<p role="alert">${texts.wrong}</p>` : '',
    '<form method="post">',
    `<p><label>${texts.user}<br><input name="user" autocomplete="username" required autofocus></label></p>`,
    `<p><label>${texts.password}<br>`,
    '<input name="password" type="password" autocomplete="current-password" required></label></p>',
    `<p><button>${texts.login}</button></p>`,
    '</form>',
    organisation === undefined ? '' : `<p><a href="${escapeHtml(organisation)}">${texts.organisation}</a></p>`,
  ]);
}

export function consentPage(language: Language, { client, userId, deviceId, redirectUri }: Consent): Page {
  const texts = TEXTS[language];
  const target = redirectUri === undefined ? '' : originOf(redirectUri);
  return page(
    language,
    texts.consentTitle,
    [
      `<p>${texts.consent}</p>`,
      `<p><strong>${escapeHtml(client)}</strong></p>`,
      `<dl><dt>${texts.account}</dt><dd>${escapeHtml(userId)}</dd>`,
      `<dt>${texts.device}</dt><dd>${escapeHtml(deviceId)}</dd>`,
      target === '' ? '' : `<dt>${texts.target}</dt><dd>${escapeHtml(target)}</dd>`,
      '</dl>',
      '<form method="post">',
      `<button name="decision" value="allow">${texts.allow}</button>`,
      `<button name="decision" value="deny">${texts.deny}</button>`,
      '</form>',
    ],
    target,
  );
}

/** @param form the form with the code field @param failed whether a wrong code was entered */
export function codePage(language: Language, form: string, failed: boolean): Page {
  const texts = TEXTS[language];
  return page(language, texts.codeTitle, [
    `<p>${failed ? texts.wrongCode : texts.code}</p>`,
    form,
    `<p><button form="op.deviceInputForm">${texts.proceed}</button></p>`,
  ]);
}

/** @param form the form that confirms the code */
export function codeConfirmPage(language: Language, form: string, code: string, client: string): Page {
  const texts = TEXTS[language];
  return page(language, texts.codeTitle, [
    `<p><strong>${escapeHtml(client)}</strong></p>`,
    `<p>${texts.confirmCode}</p>`,
    `<p><code>${escapeHtml(code)}</code></p>`,
    form,
    `<p><button form="op.deviceConfirmForm">${texts.proceed}</button>`,
    `<button form="op.deviceConfirmForm" name="abort" value="yes">${texts.cancel}</button></p>`,
  ]);
}

export function connectedPage(language: Language): Page {
  const texts = TEXTS[language];
  return page(language, texts.doneTitle, [`<p>${texts.done}</p>`]);
}

export function failedPage(language: Language): Page {
  const texts = TEXTS[language];
  return page(language, texts.failedTitle, [`<p>${texts.failed}</p>`]);
}

/**
 * Browsers also apply `form-action` to redirects after a form, the last of which is to the client.
 *
 * @param target its origin
 */
export function page(language: Language, title: string, body: readonly string[], target = ''): Page {
  return {
    html: pageHtml(language, title, body),
    policy: [
      "default-src 'none'",
      "style-src 'unsafe-inline'",
      `form-action 'self' ${target}`.trim(),
      "base-uri 'none'",
      "frame-ancestors 'none'",
    ].join('; '),
  };
}

/** The origin of a page, or the scheme of an app. */
function originOf(uri: string): string {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  if (url === undefined) return '';
  return url.origin === 'null' ? url.protocol : url.origin;
}
