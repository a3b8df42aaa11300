/** URL previews. */
import { ExpiringMap } from '../../base/expiring-map.ts';
import { MatrixError } from '../../base/errors.ts';
import { TooLargeError } from './blobs.ts';
import type { Blobs, Received } from './blobs.ts';
import { cleanContentType } from './headers.ts';
import type { Media } from './media.ts';
import type * as PageSummary from './page-summary.ts';
import { pictureSize } from './pictures.ts';
import { brokeOff, FetchError, single } from '../../base/safe-fetch.ts';
import type { Fetched, SafeFetch } from '../../base/safe-fetch.ts';

/** Open Graph properties, with the image as `mxc://` URI, and `matrix:image:size` in bytes. */
export type UrlPreview = Readonly<Record<string, string | number>>;

export interface UrlPreviewsOptions {
  readonly serverName: string;
  readonly media: Pick<Media, 'keepCached'>;
  readonly blobs: Blobs;
  readonly fetch: SafeFetch;
}

const MAX_URL = 2_048;
const MAX_PAGE_BYTES = 1024 * 1024;
const MAX_PICTURE_BYTES = 10 * 1024 * 1024;
const LIFE_MS = 60 * 60_000;
const MAX_KNOWN = 1_000;
const MAX_RUNNING = 16;
const ACCEPT = 'text/html, application/xhtml+xml, image/*;q=0.9, */*;q=0.1';

type Parser = typeof PageSummary;

export class UrlPreviews {
  readonly #options: UrlPreviewsOptions;
  readonly #parser: Parser;
  readonly #known = new ExpiringMap<UrlPreview>({ lifeMs: LIFE_MS, maxSize: MAX_KNOWN });
  readonly #running = new Map<string, Promise<UrlPreview>>();

  private constructor(options: UrlPreviewsOptions, parser: Parser) {
    this.#options = options;
    this.#parser = parser;
  }

  /** Loads the HTML parser on first use: most servers make no previews. */
  static async open(options: UrlPreviewsOptions): Promise<UrlPreviews> {
    return new UrlPreviews(options, await import('./page-summary.ts'));
  }

  /**
   * Fetches the preview of a page; cached for an hour.
   *
   * @throws MatrixError 403 M_FORBIDDEN for addresses that are not public, 502 M_UNKNOWN when the page cannot be fetched, 429
   *   M_LIMIT_EXCEEDED when too many are being fetched, 400 M_INVALID_PARAM
   */
  async preview(address: string): Promise<UrlPreview> {
    const url = URL.canParse(address) && address.length <= MAX_URL ? new URL(address) : undefined;
    if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
      throw new MatrixError(400, 'M_INVALID_PARAM', 'url is not an http or https URL.');
    }
    url.hash = '';
    const known = this.#known.get(url.href) ?? this.#running.get(url.href);
    if (known !== undefined) return known;
    if (this.#running.size >= MAX_RUNNING) {
      throw new MatrixError(
        429,
        'M_LIMIT_EXCEEDED',
        'Too many previews are being fetched. Please try again in a moment.',
        { retry_after_ms: 2_000 },
      );
    }
    const running = this.#look(url.href).finally(() => this.#running.delete(url.href));
    this.#running.set(url.href, running);
    const preview = await running;
    this.#known.set(url.href, preview);
    return preview;
  }

  async #look(address: string): Promise<UrlPreview> {
    try {
      return await this.#options.fetch.get(address, ACCEPT, (answer) => this.#summary(answer));
    } catch (error) {
      if (!isTheirs(error)) throw error;
      const isForbidden = error instanceof FetchError && error.code === 'FORBIDDEN';
      throw isForbidden
        ? new MatrixError(403, 'M_FORBIDDEN', 'The page has no public address.')
        : new MatrixError(502, 'M_UNKNOWN', 'The page cannot be reached.');
    }
  }

  async #summary(answer: Fetched): Promise<UrlPreview> {
    const contentType = cleanContentType(single(answer.headers['content-type']));
    if (/^image\//i.test(contentType)) return { ...(await this.#picture(answer)) };
    if (!/^(?:text\/html|application\/xhtml\+xml)\b/i.test(contentType)) return {};
    const { decodePage, pageSummary } = this.#parser;
    const { properties, image } = pageSummary(decodePage(await readStart(answer), contentType));
    const picture =
      image === undefined || !URL.canParse(image, answer.url) ? {} : await this.#pictureAt(image, answer.url);
    return { ...properties, ...picture };
  }

  /** A preview has no image if that cannot be fetched. */
  async #pictureAt(image: string, base: string): Promise<UrlPreview> {
    try {
      return await this.#options.fetch.get(new URL(image, base).href, 'image/*', (answer) => this.#picture(answer));
    } catch (error) {
      if (isTheirs(error)) return {};
      throw error;
    }
  }

  async #picture({ body }: Fetched): Promise<UrlPreview> {
    const { serverName, media, blobs } = this.#options;
    const file: Received = await blobs.receive(body as AsyncIterable<Uint8Array>, MAX_PICTURE_BYTES);
    try {
      const size = await pictureSize(file.path);
      if (size === undefined) return {};
      const mediaId = await media.keepCached(file, { contentType: size.contentType, fileName: undefined });
      return {
        'og:image': `mxc://${serverName}/${mediaId}`,
        'og:image:type': size.contentType,
        'og:image:width': size.width,
        'og:image:height': size.height,
        'matrix:image:size': file.size,
      };
    } finally {
      await blobs.discard(file);
    }
  }
}

/** The beginning of a page, which has the metadata. */
async function readStart({ body }: Fetched): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  // Leaving the loop destroys the stream.
  for await (const chunk of body as AsyncIterable<Uint8Array>) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= MAX_PAGE_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, MAX_PAGE_BYTES);
}

/** Whether the web server is at fault: no response, one that is too long, or an incomplete one. */
function isTheirs(error: unknown): boolean {
  return error instanceof FetchError || error instanceof TooLargeError || brokeOff(error);
}
