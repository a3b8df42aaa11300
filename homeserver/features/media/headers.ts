/** Response headers for media: files come from anybody, and browsers must not execute them. */

/** Content types that are displayed inline. @see Matrix specification, "Serving inline content" */
const INLINE: ReadonlySet<string> = new Set([
  'text/css',
  'text/plain',
  'text/csv',
  'application/json',
  'application/ld+json',
  'image/jpeg',
  'image/gif',
  'image/png',
  'image/apng',
  'image/webp',
  'image/avif',
  'video/mp4',
  'video/webm',
  'video/ogg',
  'video/quicktime',
  'audio/mp4',
  'audio/webm',
  'audio/aac',
  'audio/mpeg',
  'audio/ogg',
  'audio/wave',
  'audio/wav',
  'audio/x-wav',
  'audio/x-pn-wav',
  'audio/flac',
  'audio/x-flac',
]);
export const UNKNOWN_TYPE = 'application/octet-stream';

const MAX_TYPE_LENGTH = 200;
const MAX_NAME_LENGTH = 255;
const TOKEN = "[A-Za-z0-9!#$%&'*+.^_`|~-]+";
const TYPE = new RegExp(
  `^${TOKEN}/${TOKEN}(?: *; *${TOKEN}=(?:${TOKEN}|"[A-Za-z0-9 !#$%&'()*+,./:;<=>?@^_\`{|}~-]*"))*$`,
);

/** The given content type, or `application/octet-stream` when it is malformed. */
export function cleanContentType(said: string | undefined): string {
  const type = said?.trim();
  return type !== undefined && type.length <= MAX_TYPE_LENGTH && TYPE.test(type) ? type : UNKNOWN_TYPE;
}

/** The given file name without unsuitable characters; undefined when nothing is left. */
export function cleanFileName(said: string | undefined): string | undefined {
  const name = said
    ?.toWellFormed()
    .replace(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, '')
    .trim();
  return name === undefined || name === '' ? undefined : [...name].slice(0, MAX_NAME_LENGTH).join('');
}

/**
 * `inline` for types that are safe in browsers, otherwise `attachment`, with the file name if there is one.
 *
 * @see RFC 6266 and RFC 8187
 */
export function contentDisposition(contentType: string, fileName: string | undefined): string {
  const [type = ''] = contentType.toLowerCase().split(';');
  const kind = INLINE.has(type.trim()) ? 'inline' : 'attachment';
  if (fileName === undefined) return kind;
  if (/^[A-Za-z0-9!#$&+.^_`|~-]+$/.test(fileName)) return `${kind}; filename=${fileName}`;
  // Some clients misread percent signs, so they are encoded like non-ASCII characters.
  if (/^[ -$&-~]+$/.test(fileName)) return `${kind}; filename="${fileName.replace(/["\\]/g, '\\$&')}"`;
  return `${kind}; filename*=utf-8''${extendedValue(fileName)}`;
}

/** The file name in a `Content-Disposition` header of another server. */
export function fileNameOf(disposition: string | undefined): string | undefined {
  if (disposition === undefined || disposition.length > 4096) return undefined;
  const [, extended] = /;\s*filename\*\s*=\s*utf-8'[^']*'([^;\s]*)/i.exec(disposition) ?? [];
  if (extended !== undefined) {
    try {
      return cleanFileName(decodeURIComponent(extended));
    } catch (error) {
      if (!(error instanceof URIError)) throw error;
    }
  }
  const [, quoted, token] = /;\s*filename\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^;"\s]+))/i.exec(disposition) ?? [];
  return cleanFileName(quoted?.replace(/\\(.)/g, '$1') ?? token);
}

/** Headers of every media response. */
export const FILE_HEADERS: Readonly<Record<string, string>> = {
  'X-Content-Type-Options': 'nosniff',
  'Content-Security-Policy':
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; " +
    "media-src 'self'; object-src 'self';",
  'Cross-Origin-Resource-Policy': 'cross-origin',
  'Referrer-Policy': 'no-referrer',
};

function extendedValue(text: string): string {
  return encodeURIComponent(text).replace(
    /['()*!]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}
