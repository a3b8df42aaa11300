/** The metadata of a web page, for link previews. */
import { Parser } from 'htmlparser2';

/** Open Graph properties of a page (such as `og:title`), except for its image. */
export interface PageSummary {
  readonly properties: Readonly<Record<string, string>>;
  /** URL of the image, as the page has it: possibly relative. */
  readonly image: string | undefined;
}

const MAX_TEXT = 1_000;
const MAX_ADDRESS = 2_048;
const MAX_METAS = 500;
/** Metadata is in the head of a page, which is parsed in pieces, up to this many characters. */
const MAX_HEAD = 512 * 1024;
const PIECE = 4_096;
/** The parser's cost grows with the number of open elements. */
const MAX_OPEN = 256;
/** The properties passed on; images are handled separately. */
const PROPERTIES = ['title', 'description', 'type', 'url', 'site_name', 'locale', 'image:alt'];

/**
 * Reads the Open Graph properties of a page, falling back to those of Twitter, and to title and description.
 *
 * @see https://ogp.me
 */
export function pageSummary(html: string): PageSummary {
  const metas = new Map<string, string>();
  let title = '';
  let inTitle = false;
  let inDrawing = 0;
  let icon: string | undefined;
  let open = 0;
  let isRead = false;
  const parser = new Parser({
    onopentag(name, attributes) {
      open += 1;
      isRead ||= open > MAX_OPEN || name === 'body';
      if (name === 'svg') inDrawing += 1;
      else if (name === 'title' && inDrawing === 0 && title === '') inTitle = true;
      else if (name === 'meta' && metas.size < MAX_METAS) {
        const key = (attributes['property'] ?? attributes['name'])?.toLowerCase();
        const value = attributes['content'];
        if (key !== undefined && value !== undefined && !metas.has(key)) metas.set(key, value);
      } else if (name === 'link' && attributes['rel']?.toLowerCase() === 'image_src') icon ??= attributes['href'];
    },
    ontext(text) {
      if (inTitle && title.length < 4 * MAX_TEXT) title += text;
    },
    onclosetag(name) {
      open -= 1;
      isRead ||= name === 'head';
      if (name === 'title') inTitle = false;
      else if (name === 'svg') inDrawing -= 1;
    },
  });
  for (let at = 0; at < Math.min(html.length, MAX_HEAD) && !isRead; at += PIECE) {
    parser.write(html.slice(at, at + PIECE));
  }
  if (!isRead) parser.end();

  const properties: Record<string, string> = {};
  const fallbacks: Readonly<Record<string, string | undefined>> = {
    title: metas.get('twitter:title') ?? title,
    description: metas.get('twitter:description') ?? metas.get('description'),
  };
  for (const name of PROPERTIES) {
    const text = tidy(metas.get(`og:${name}`)) ?? tidy(fallbacks[name]);
    if (text !== undefined) properties[`og:${name}`] = text;
  }
  const candidates = [
    metas.get('og:image:secure_url'),
    metas.get('og:image'),
    metas.get('og:image:url'),
    metas.get('twitter:image'),
    metas.get('twitter:image:src'),
    icon,
  ];
  const image = candidates.find((value) => value !== undefined && value.trim() !== '' && value.length <= MAX_ADDRESS);
  return { properties, image: image?.trim() };
}

/** Decodes the text of a page. The page itself may declare its encoding. */
export function decodePage(bytes: Uint8Array, contentType: string): string {
  const [, said] = /;\s*charset="?([^\s;"]{1,40})/i.exec(contentType) ?? [];
  const [, written] =
    /<meta[^>]{1,200}charset\s*=\s*["']?([A-Za-z0-9_-]{1,40})/i.exec(
      Buffer.from(bytes.subarray(0, 4096)).toString('latin1'),
    ) ?? [];
  for (const label of [said, written]) {
    if (label === undefined) continue;
    try {
      return new TextDecoder(label).decode(bytes);
    } catch (error) {
      // An unknown encoding.
      if (!(error instanceof RangeError)) throw error;
    }
  }
  return new TextDecoder().decode(bytes);
}

function tidy(text: string | undefined): string | undefined {
  const plain = text
    ?.toWellFormed()
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim();
  return plain === undefined || plain === '' ? undefined : [...plain].slice(0, MAX_TEXT).join('');
}
