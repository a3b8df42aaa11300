/** Thumbnails. Decodes uploads: only formats with well-tested decoders, with limits on pixels and time, few at once. */
import { open } from 'node:fs/promises';
import type { Metadata, Sharp } from 'sharp';
import { MatrixError } from '../../base/errors.ts';
import type { ThumbnailKey } from './media-store.ts';

/** A generated thumbnail. */
export interface Picture {
  readonly bytes: Uint8Array;
  readonly contentType: string;
}

export interface PictureSize {
  /** In pixels, with orientation applied. */
  readonly width: number;
  readonly height: number;
  readonly contentType: string;
}

type Format = 'png' | 'jpeg' | 'gif' | 'webp';

const MAX_PIXELS = 64 * 1024 * 1024;
/** Most memory for an image that is decoded as a whole, in bytes. */
const MAX_DECODED_BYTES = 96 * 1024 * 1024;
const MAX_FRAMES = 200;
const MAX_SECONDS = 15;
const AT_ONCE = 1;
const MAX_WAITING = 64;
const JPEG_QUALITY = 80;
/** `retry_after_ms` when too many are waiting. */
const RETRY_MS = 2_000;

/** @see Matrix specification, client-server API, "Thumbnails" */
const SIZES = [
  [32, 32],
  [96, 96],
  [320, 240],
  [640, 480],
  [800, 600],
] as const;

let decoder: Promise<(path: string, options: object) => Sharp> | undefined;

/** The decoder is large: it is loaded on first use. */
async function loadDecoder(): Promise<(path: string, options: object) => Sharp> {
  const { default: sharp } = await import('sharp');
  // The library would also decode SVG, PDF and others, whatever the content type says.
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({
    operation: ['VipsForeignLoadJpeg', 'VipsForeignLoadPng', 'VipsForeignLoadNsgif', 'VipsForeignLoadWebp'],
  });
  sharp.cache(false);
  sharp.concurrency(1);
  return sharp;
}

/** The best thumbnail for a request: the next larger one of the usual sizes. */
export function thumbnailKey(asked: ThumbnailKey): ThumbnailKey {
  const [width, height] = SIZES.find(([w, h]) => w >= asked.width && h >= asked.height) ?? [800, 600];
  return { width, height, method: asked.method, animated: asked.animated };
}

let running = 0;
const waiting: (() => void)[] = [];

/**
 * Makes a thumbnail. Images are never enlarged.
 *
 * @param path of the original file
 * @throws MatrixError 400 M_UNKNOWN when it is not a supported image, 413 M_TOO_LARGE when it has too many
 *   pixels, 429 M_LIMIT_EXCEEDED when too many are waiting
 */
export async function makeThumbnail(path: string, { width, height, method, animated }: ThumbnailKey): Promise<Picture> {
  return inQueue(() =>
    readable(path, async (format) => {
      const sharp = await (decoder ??= loadDecoder());
      const metadata = await sharp(path, limits).metadata();
      if (decodedBytes(metadata) > MAX_DECODED_BYTES) throw tooLarge();
      const { pages = 1, hasAlpha } = metadata;
      const frames = animated && (format === 'gif' || format === 'webp') ? Math.min(pages, MAX_FRAMES) : 1;
      const fit = method === 'crop' ? 'cover' : 'inside';
      const small = sharp(path, { ...limits, pages: frames })
        .timeout({ seconds: MAX_SECONDS })
        .autoOrient()
        .resize({ width, height, fit, withoutEnlargement: true });
      if (frames > 1) return picture(await small.webp().toBuffer(), 'image/webp');
      if (format === 'jpeg' || (format === 'webp' && !hasAlpha)) {
        return picture(await small.jpeg({ quality: JPEG_QUALITY }).toBuffer(), 'image/jpeg');
      }
      return picture(await small.png().toBuffer(), 'image/png');
    }),
  );
}

/** The size of an image; undefined when it is not a supported one. */
export async function pictureSize(path: string): Promise<PictureSize | undefined> {
  try {
    return await inQueue(() =>
      readable(path, async (format) => {
        const sharp = await (decoder ??= loadDecoder());
        const { autoOrient } = await sharp(path, limits).metadata();
        return { width: autoOrient.width, height: autoOrient.height, contentType: `image/${format}` };
      }),
    );
  } catch (error) {
    if (error instanceof MatrixError && error.status !== 429) return undefined;
    throw error;
  }
}

const limits = { limitInputPixels: MAX_PIXELS, failOn: 'error', sequentialRead: true } as const;

function picture(bytes: Uint8Array, contentType: string): Picture {
  return { bytes, contentType };
}

async function readable<T>(path: string, run: (format: Format) => Promise<T>): Promise<T> {
  const format = await formatOf(path);
  if (format === undefined)
    throw new MatrixError(400, 'M_UNKNOWN', 'The file is not an image of which this server can make thumbnails.');
  try {
    return await run(format);
  } catch (error) {
    // The library distinguishes its errors by message only.
    const message = error instanceof Error ? error.message : '';
    if (/pixel limit|timeout/i.test(message)) {
      throw tooLarge();
    }
    if (error instanceof MatrixError) throw error;
    throw new MatrixError(400, 'M_UNKNOWN', 'The image is damaged.');
  }
}

/**
 * Memory needed to decode an image, in bytes. Sequential JPEG and PNG are scaled line by line; all others are decoded
 * as a whole.
 */
function decodedBytes({ format, width, height, channels, depth, isProgressive }: Metadata): number {
  if ((format === 'jpeg' || format === 'png') && !isProgressive) return 0;
  return width * height * channels * (depth === 'ushort' ? 2 : 1);
}

function tooLarge(): MatrixError {
  return new MatrixError(413, 'M_TOO_LARGE', 'The image has too many pixels for a thumbnail.');
}

/** The format of a file by its first bytes; its content type may be wrong. */
async function formatOf(path: string): Promise<Format | undefined> {
  const file = await open(path);
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(16), 0, 16, 0);
    const head = buffer.subarray(0, bytesRead).toString('latin1');
    if (head.startsWith('\x89PNG\r\n\x1a\n')) return 'png';
    if (head.startsWith('\xff\xd8\xff')) return 'jpeg';
    if (/^GIF8[79]a/.test(head)) return 'gif';
    if (/^RIFF[^]{4}WEBP/.test(head)) return 'webp';
    return undefined;
  } finally {
    await file.close();
  }
}

async function inQueue<T>(run: () => Promise<T>): Promise<T> {
  if (running >= AT_ONCE) {
    if (waiting.length >= MAX_WAITING) {
      throw new MatrixError(
        429,
        'M_LIMIT_EXCEEDED',
        'Too many thumbnails are being generated. Please try again in a moment.',
        {
          retry_after_ms: RETRY_MS,
        },
      );
    }
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else running += 1;
  try {
    return await run();
  } finally {
    // The next in the queue takes over the slot.
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
  }
}
