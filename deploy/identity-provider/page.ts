/** The log-in page: one form, without scripts, in German and English, light and dark. */
import type { Person } from './config.ts';

export type Language = 'de' | 'en';

export interface LoginPage {
  readonly language: Language;
  readonly organisation: string;
  readonly people: readonly Person[];
  readonly password: string;
  /** Where the form goes. */
  readonly action: string;
  /** What was typed before, after a log-in that failed. */
  readonly login?: string;
  readonly failed?: boolean;
}

const WORDS = {
  de: {
    title: 'Anmelden',
    login: 'Benutzername',
    password: 'Passwort',
    submit: 'Anmelden',
    failed: 'Benutzername oder Passwort ist falsch.',
    hint: 'Dies ist eine Demonstration. Konten:',
    hintPassword: 'Passwort:',
    ended: 'Diese Anmeldung ist nicht mehr gültig',
    again: 'Bitte beginnen Sie noch einmal auf der Seite, von der Sie gekommen sind.',
  },
  en: {
    title: 'Log in',
    login: 'User name',
    password: 'Password',
    submit: 'Log in',
    failed: 'User name or password is wrong.',
    hint: 'This is a demonstration. Accounts:',
    hintPassword: 'Password:',
    ended: 'This log-in is no longer valid',
    again: 'Please start again on the page that you came from.',
  },
};

/** The page that asks who somebody is. */
export function loginPage(page: LoginPage): string {
  const words = WORDS[page.language];
  const users = page.people.map(({ user }) => `<code>${escape(user)}</code>`).join(', ');
  const failed = page.failed === true;
  const describedBy = failed ? ' aria-invalid="true" aria-describedby="failed"' : '';
  return document(
    page.language,
    `${words.title} – ${page.organisation}`,
    `<p class="organisation">${escape(page.organisation)}</p>
<h1>${words.title}</h1>
${failed ? `<p id="failed" class="failed" role="alert">${words.failed}</p>` : ''}
<form method="post" action="${escape(page.action)}">
<label for="login">${words.login}</label>
<input id="login" name="login" type="text" autocomplete="username" autocapitalize="none" spellcheck="false" required
  maxlength="100" value="${escape(page.login ?? '')}"${describedBy}${failed ? '' : ' autofocus'}>
<label for="password">${words.password}</label>
<input id="password" name="password" type="password" autocomplete="current-password" required
  maxlength="100"${describedBy}${failed ? ' autofocus' : ''}>
<button type="submit">${words.submit}</button>
</form>
<p class="hint">${words.hint} ${users}. ${words.hintPassword} <code>${escape(page.password)}</code></p>`,
  );
}

/** The page for somebody whose log-in was begun too long ago, or not in this browser. */
export function endedPage(language: Language): string {
  const words = WORDS[language];
  return document(language, words.ended, `<h1>${words.ended}</h1>\n<p>${words.again}</p>`);
}

/**
 * The language for a person: what the application asked for, else what the browser prefers, else English.
 *
 * @param wishes values of `ui_locales` (OpenID Connect Core, 3.1.2.1) and Accept-Language, in order of weight
 */
export function chooseLanguage(...wishes: readonly (string | undefined)[]): Language {
  for (const wish of wishes) {
    for (const tag of (wish ?? '').slice(0, 500).split(/[\s,]+/)) {
      const language = /^[a-z]+/i.exec(tag)?.[0].toLowerCase();
      if (language === 'de' || language === 'en') return language;
    }
  }
  return 'en';
}

function document(language: Language, title: string, body: string): string {
  return `<!doctype html>
<html lang="${language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${body}
</main>
</body>
</html>
`;
}

export const STYLE = `
:root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
body { margin: 0; background: light-dark(#faf7f2, #12181a); color: light-dark(#1c2123, #e4e6e6); }
main { max-width: 22rem; margin: 8vh auto; padding: 2rem; background: light-dark(#ffffff, #182023); border-radius: 1.25rem; }
h1 { font-size: 1.5rem; margin: 0 0 1.5rem; }
.organisation { margin: 0; color: light-dark(#4b4a44, #c2c7c8); }
label { display: block; margin: 1rem 0 .375rem; font-weight: 600; }
input { box-sizing: border-box; width: 100%; padding: .75rem; font: inherit; color: inherit;
  background: light-dark(#ffffff, #12181a); border: 1px solid light-dark(#77726a, #8b9496); border-radius: .75rem; }
button { width: 100%; margin-top: 1.5rem; padding: .75rem; font: inherit; font-weight: 600; border: 0; border-radius: .75rem;
  background: light-dark(#0b5563, #7fd0df); color: light-dark(#ffffff, #00363f); cursor: pointer; }
:focus-visible { outline: 3px solid light-dark(#0b5563, #9fe3ef); outline-offset: 2px; }
.failed { padding: .75rem; border-radius: .5rem; background: light-dark(#fbe4e2, #5c1a16); color: light-dark(#7a1109, #ffdad6); }
.hint { margin: 1.5rem 0 0; font-size: .875rem; color: light-dark(#4b4a44, #c2c7c8); }
@media (max-width: 30rem) { main { margin: 0; border-radius: 0; min-height: 100vh; box-sizing: border-box; max-width: none; } }
`;

function escape(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${String(character.charCodeAt(0))};`);
}
