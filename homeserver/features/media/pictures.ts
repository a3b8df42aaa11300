/**
 * Small pictures of big ones. What people send is decoded here: only formats whose decoders are widely tested, with
 * bounds on pixels and time, and few at once.
 */
import { open } from 'node:fs/promises';
import type { Metadata, Sharp } from 'sharp';
import { MatrixError } from '../../base/errors.ts';
import type { ThumbnailKey } from './media-store.ts';

/** A picture that was made. */
export interface Picture {
  readonly bytes: Uint8Array;
  readonly contentType: string;
}

export interface PictureSize {
  /** In pixels, as it is shown. */
  readonly width: number;
  readonly height: number;
  readonly contentType: string;
}

type Format = 'png' | 'jpeg' | 'gif' | 'webp';

const MAX_PIXELS = 64 * 1024 * 1024;
/** As long as a picture is held whole while it is decoded, it takes this much of memory at most. */
const MAX_DECODED_BYTES = 96 * 1024 * 1024;
const MAX_FRAMES = 200;
const MAX_SECONDS = 15;
const AT_ONCE = 1;
const MAX_WAITING = 64;
const JPEG_QUALITY = 80;
/** How long somebody should wait who comes when too many are waiting, in ms. */
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

/** The decoder is large: it is loaded for the first picture. */
async function loadDecoder(): Promise<(path: string, options: object) => Sharp> {
  const { default: sharp } = await import('sharp');
  // SVG, PDF and others would be decoded as well, for all that the content type says.
  sharp.block({ operation: ['VipsForeignLoad'] });
  sharp.unblock({
    operation: ['VipsForeignLoadJpeg', 'VipsForeignLoadPng', 'VipsForeignLoadNsgif', 'VipsForeignLoadWebp'],
  });
  sharp.cache(false);
  sharp.concurrency(1);
  return sharp;
}

/** The kind of small picture that answers a question best: the next larger one of the usual sizes. */
export function thumbnailKey(asked: ThumbnailKey): ThumbnailKey {
  const [width, height] = SIZES.find(([w, h]) => w >= asked.width && h >= asked.height) ?? [800, 600];
  return { width, height, method: asked.method, animated: asked.animated };
}

let running = 0;
const waiting: (() => void)[] = [];

/**
 * Makes a small picture. Pictures are never enlarged.
 *
 * @param path of the file with the big one
 * @throws MatrixError 400 M_UNKNOWN when it is no picture that we can read, 413 M_TOO_LARGE when it has too many pixels,
 *   429 M_LIMIT_EXCEEDED when too many are waiting
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

/** The size of a picture; undefined when it is none that we can read. */
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
  if (format === undefined) throw new MatrixError(400, 'M_UNKNOWN', 'The file is no picture that can be made smaller.');
  try {
    return await run(format);
  } catch (error) {
    // The library tells its failures apart by words alone.
    const message = error instanceof Error ? error.message : '';
    if (/pixel limit|timeout/i.test(message)) {
      throw tooLarge();
    }
    if (error instanceof MatrixError) throw error;
    throw new MatrixError(400, 'M_UNKNOWN', 'The picture is damaged.');
  }
}

/**
 * What is in memory at once while a picture is decoded, in bytes. A JPEG or a PNG whose lines come one after the other is
 * made smaller line by line; all others are decoded whole.
 */
function decodedBytes({ format, width, height, channels, depth, isProgressive }: Metadata): number {
  if ((format === 'jpeg' || format === 'png') && !isProgressive) return 0;
  return width * height * channels * (depth === 'ushort' ? 2 : 1);
}

function tooLarge(): MatrixError {
  return new MatrixError(413, 'M_TOO_LARGE', 'The picture is too large to be made smaller.');
}

/** What a file is by its first bytes; its content type may lie. */
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
      throw new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Too many pictures are being made. Please wait a moment.', {
        retry_after_ms: RETRY_MS,
      });
    }
    await new Promise<void>((resolve) => waiting.push(resolve));
  } else running += 1;
  try {
    return await run();
  } finally {
    // Whoever is next takes over the place.
    const next = waiting.shift();
    if (next) next();
    else running -= 1;
  }
}
