export type LinkTarget =
  /** A place inside this client. */
  | { kind: 'own'; path: string }
  /** A meeting on another instance: the browser goes there. */
  | { kind: 'elsewhere'; url: string };

const TOKEN = /^[A-Za-z0-9_-]{1,64}/;

/**
 * The secret part of a guest link, without what a mail put behind it: the full stop of a sentence, a bracket, a
 * quotation mark. Undefined when it does not begin like one.
 */
export function readToken(text: string): string | undefined {
  return TOKEN.exec(text)?.[0];
}

/**
 * Reads a link that somebody typed or pasted: `https://host/join/token`, with or without a language, alone or inside a
 * sentence of a mail, or only the token. Links to other instances are followed over https (or the scheme of this page)
 * and only when they look the same.
 */
export function readLink(text: string, origin: string): LinkTarget | undefined {
  const trimmed = text.trim();
  if (/^[A-Za-z0-9_-]{8,64}$/.test(trimmed)) return { kind: 'own', path: `/join/${trimmed}` };
  // Mails break long lines and put addresses into brackets; nothing of that is part of an address.
  for (const [address] of trimmed.matchAll(/https?:\/\/[^\s<>"]+/gi)) {
    const target = readAddress(address, origin);
    if (target) return target;
  }
  return undefined;
}

function readAddress(address: string, origin: string): LinkTarget | undefined {
  if (!URL.canParse(address)) return undefined;
  const url = new URL(address);
  const rest = /^(?:\/(?:en|de))?\/join\/(.+)$/.exec(url.pathname)?.[1];
  const token = rest === undefined ? undefined : readToken(rest);
  // After the token only a slash or punctuation may follow: a longer path or other letters are another address.
  if (token === undefined || /[\p{L}\p{N}]/u.test(decode(rest?.slice(token.length) ?? ''))) return undefined;
  if (url.origin === origin) return { kind: 'own', path: `/join/${token}` };
  if (url.protocol !== 'https:' && url.protocol !== new URL(origin).protocol) return undefined;
  return { kind: 'elsewhere', url: `${url.origin}/join/${token}` };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
