/** Serves the built web client, which has a folder for each language. */
import { existsSync } from 'node:fs';
import { extname, join } from 'node:path';
import express from 'express';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { cookie } from '../base/cookies.ts';

/** The first is the default. */
const LANGUAGES = ['de', 'en'] as const;
type Language = (typeof LANGUAGES)[number];

/** The language chosen in the client, which sets this cookie. */
const LANGUAGE_COOKIE = 'hansetag-language';

/** Other paths belong to the client's router, and ids in them may have dots. */
const FILE_TYPES = new Set(
  'html js css json webmanifest map txt svg png jpg ico webp woff2 wasm mp3 ogg'.split(' ').map((type) => `.${type}`),
);
/** The build adds compressed copies of the files: preferred encoding first. */
const ENCODINGS = [
  { encoding: 'br', suffix: '.br' },
  { encoding: 'gzip', suffix: '.gz' },
] as const;
/** The build adds eight characters of a hash to the names of scripts, styles and media, which then never change. */
const HASHED_NAME = /(-[\w-]{8}\.(js|css)|\/media\/[^/]+-[\w-]{8}\.\w+)$/;

/** Thrown when the folder has no built client. */
export class ClientMissingError extends Error {
  override readonly name = 'ClientMissingError';
  readonly code = 'CLIENT_MISSING';
}

/**
 * Middleware that serves the built client. Paths without a language are redirected to the chosen language or that of
 * the browser; other paths inside the client get its page.
 *
 * @param folder has a folder for each language
 * @throws ClientMissingError when no language is built
 */
export function staticClient(folder: string): RequestHandler {
  const languages = LANGUAGES.filter((language) => existsSync(join(folder, language, 'index.html')));
  const [fallback] = languages;
  if (fallback === undefined)
    throw new ClientMissingError(`There is no built web client in ${folder}. Build it with npm start.`);
  const files = {
    de: compressedFiles(join(folder, 'de')),
    en: compressedFiles(join(folder, 'en')),
  };

  return (request, response, next) => {
    if (request.method !== 'GET' && request.method !== 'HEAD') {
      next();
      return;
    }
    const { path } = request;
    const language = languages.find((code) => path.startsWith(`/${code}/`));
    // A missing script must not get a page as response.
    const isFile = FILE_TYPES.has(extname(path));
    if (language !== undefined) {
      files[language](isFile ? path.slice(language.length + 1) : '/index.html', request, response, next);
    } else if (isFile) {
      files[fallback](path, request, response, next);
    } else {
      const code = languages.find((one) => path === `/${one}`);
      response.set({ 'Cache-Control': 'no-store', Vary: 'Cookie, Accept-Language' });
      response.redirect(302, (code ? `/${code}/` : `/${chosen(request, languages)}${path}`) + queryOf(request));
    }
  };
}

type FileServer = (path: string, request: Request, response: Response, next: NextFunction) => void;

/** Serves the files of a folder, in the best encoding that the browser accepts. */
function compressedFiles(folder: string): FileServer {
  const serve = express.static(folder, { index: false, redirect: false, acceptRanges: false, setHeaders });
  return (path, request, response, next) => {
    const { url } = request;
    const suffixes = ENCODINGS.filter(({ encoding }) => request.acceptsEncodings(encoding)).map(({ suffix }) => suffix);
    const candidates = [...suffixes, ''].map((suffix) => path + suffix);
    const serveNext = (): void => {
      const candidate = candidates.shift();
      if (candidate === undefined) {
        request.url = url;
        next();
        return;
      }
      request.url = candidate;
      serve(request, response, (error?: unknown) => {
        if (error === undefined) {
          serveNext();
          return;
        }
        request.url = url;
        // These headers are for the file, but the response is an error.
        for (const name of ['Cache-Control', 'Content-Encoding', 'Content-Type']) response.removeHeader(name);
        next(error);
      });
    };
    serveNext();
  };
}

function setHeaders(response: Response, file: string): void {
  const compressed = ENCODINGS.find(({ suffix }) => file.endsWith(suffix));
  const name = compressed ? file.slice(0, -compressed.suffix.length) : file;
  response.set('Cache-Control', HASHED_NAME.test(name) ? 'public, max-age=31536000, immutable' : 'no-cache');
  response.vary('Accept-Encoding');
  if (compressed) response.type(extname(name)).set('Content-Encoding', compressed.encoding);
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
