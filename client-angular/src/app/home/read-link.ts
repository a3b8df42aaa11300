export type LinkTarget =
  /** A place inside this client. */
  | { kind: 'own'; path: string }
  /** A meeting on another instance: the browser goes there. */
  | { kind: 'elsewhere'; url: string };

/**
 * Reads a link that somebody typed or pasted: `https://host/join/token`, with or without a language, or only the
 * token. Links to other instances are followed over https (or the scheme of this page) and only when they look the same.
 */
export function readLink(text: string, origin: string): LinkTarget | undefined {
  const trimmed = text.trim();
  if (/^[A-Za-z0-9_-]{8,64}$/.test(trimmed)) return { kind: 'own', path: `/join/${trimmed}` };
  let url: URL;
  try {
    url = new URL(trimmed);
  } catch {
    return undefined;
  }
  const token = /^(?:\/(?:en|de))?\/join\/([A-Za-z0-9_-]{1,64})\/?$/.exec(url.pathname)?.[1];
  if (token === undefined) return undefined;
  if (url.origin === origin) return { kind: 'own', path: `/join/${token}` };
  if (url.protocol !== 'https:' && url.protocol !== new URL(origin).protocol) return undefined;
  return { kind: 'elsewhere', url: `${url.origin}/join/${token}` };
}
