/** Serves the built web client: one folder for each language, all of it from memory. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Request, RequestHandler, Response } from 'express';
import { cookie } from '../base/cookies.ts';

/** The first is for people whose browser asks for neither. */
const LANGUAGES = ['de', 'en'] as const;
type Language = (typeof LANGUAGES)[number];

/** What somebody has chosen in the client; it sets this cookie. */
const LANGUAGE_COOKIE = 'hansetag-language';

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
  '.map': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.ico': 'image/x-icon',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
  '.mp3': 'audio/mpeg',
  '.ogg': 'audio/ogg',
};
const COMPRESSIBLE = new Set(['.html', '.js', '.css', '.json', '.webmanifest', '.map', '.txt', '.svg', '.wasm']);
/** The build puts eight characters of a hash into the names of scripts, styles and media, which then never change. */
const HASHED_NAME = /(-[\w-]{8}\.(js|css)|\/media\/[^/]+-[\w-]{8}\.\w+)$/;

interface Asset {
  readonly type: string;
  readonly body: Buffer;
  readonly gzipped: Buffer | undefined;
  readonly etag: string;
  readonly immutable: boolean;
}

/** The folder has no built client in it. */
export class ClientMissingError extends Error {
  override readonly name = 'ClientMissingError';
  readonly code = 'CLIENT_MISSING';
}

/**
 * Reads the built client and answers the middleware that serves it. Paths without a language are sent to the one that
 * the person has chosen or the browser asks for; paths inside the client get its page.
 *
 * @param folder with one folder for each language in it
 * @throws ClientMissingError when no language has been built
 */
export async function staticClient(folder: string): Promise<RequestHandler> {
  const languages = LANGUAGES.filter((language) => existsSync(join(folder, language, 'index.html')));
  const [fallback] = languages;
  if (fallback === undefined) throw new ClientMissingError(`There is no built web client in ${folder}.`);
  const assets = new Map<string, Asset>();
  for (const language of languages) await readAssets(folder, `/${language}`, assets);

  return (request, response, next) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      next();
      return;
    }
    const { path } = request;
    const known = assets.get(path);
    if (known) {
      send(request, response, known);
      return;
    }
    const language = languages.find((code) => path.startsWith(`/${code}/`));
    // A missing script must not be answered with a page. Ids in paths may have dots, so that only known types count.
    const isFile = extname(path) in TYPES;
    if (language !== undefined) {
      const page = assets.get(`/${language}/index.html`);
      if (page && !isFile) send(request, response, page);
      else next();
    } else if (isFile) {
      const asset = assets.get(`/${fallback}${path}`);
      if (asset) send(request, response, asset);
      else next();
    } else {
      const code = languages.find((one) => path === `/${one}`);
      response.set({ 'Cache-Control': 'no-store', Vary: 'Cookie, Accept-Language' });
      response.redirect(302, (code ? `/${code}/` : `/${chosen(request, languages)}${path}`) + queryOf(request));
    }
  };
}

async function readAssets(folder: string, path: string, assets: Map<string, Asset>): Promise<void> {
  for (const entry of await readdir(join(folder, path), { withFileTypes: true })) {
    const inner = `${path}/${entry.name}`;
    if (entry.isDirectory()) await readAssets(folder, inner, assets);
    else if (entry.isFile()) assets.set(inner, await readAsset(join(folder, inner)));
  }
}

async function readAsset(file: string): Promise<Asset> {
  const body = await readFile(file);
  const extension = extname(file);
  return {
    type: TYPES[extension] ?? 'application/octet-stream',
    body,
    gzipped: COMPRESSIBLE.has(extension) ? await promisify(gzip)(body, { level: 9 }) : undefined,
    etag: `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`,
    immutable: HASHED_NAME.test(file),
  };
}

function send(request: Request, response: Response, asset: Asset): void {
  const { type, body, gzipped, etag, immutable } = asset;
  response.set({
    'Content-Type': type,
    'Cache-Control': immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
    ETag: etag,
    ...(gzipped ? { Vary: 'Accept-Encoding' } : {}),
  });
  // Express compares If-None-Match with the ETag.
  if (request.fresh) {
    response.status(304).end();
    return;
  }
  if (gzipped && request.acceptsEncodings(['gzip', 'identity']) === 'gzip') {
    response.set('Content-Encoding', 'gzip').end(request.method === 'HEAD' ? undefined : gzipped);
  } else {
    response.end(request.method === 'HEAD' ? undefined : body);
  }
}

function chosen(request: Request, languages: readonly Language[]): string {
  const wanted = cookie(request, LANGUAGE_COOKIE);
  const known = languages.find((code) => code === wanted);
  return known ?? (request.acceptsLanguages([...languages]) || languages[0] || '');
}

function queryOf(request: Request): string {
  const at = request.originalUrl.indexOf('?');
  return at < 0 ? '' : request.originalUrl.slice(at);
}
