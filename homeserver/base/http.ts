/** Shared by all HTTP requests and responses: bodies, headers, log lines. */
import type { IncomingMessage } from 'node:http';
import type { Request, RequestHandler, Response } from 'express';
import helmet from 'helmet';
import type { Logger } from 'pino';
import { pinoHttp } from 'pino-http';
import { JsonParseError, parseLong } from '../../federation/json.ts';
import type { JsonValue } from '../../federation/json.ts';
import { MatrixError } from './errors.ts';
import { describeError, loggablePath } from './log.ts';

export interface BodyRules {
  /** In bytes. */
  readonly limit: number;
  /** Deepest nesting. */
  readonly maxDepth: number;
  /**
   * Whether numbers that canonical JSON forbids are accepted: for bodies with several events, which are checked one by
   * one, and for what nobody signs.
   */
  readonly anyNumbers?: boolean;
}

/** A body as text and parsed; undefined without a body. */
export interface Body {
  readonly text: string | undefined;
  readonly value: JsonValue | undefined;
}

/**
 * Middleware that parses a JSON body by the rules of canonical JSON into `request.body`; undefined if empty. The
 * content type is ignored: Matrix requires JSON, but clients send all kinds of types.
 */
export function jsonBody(rules: (request: Request) => BodyRules | Promise<BodyRules>): RequestHandler {
  return async (request, response, next) => {
    request.body = (await readBody(request, response, await rules(request))).value;
    next();
  };
}

/**
 * Reads the body of a request.
 *
 * @throws MatrixError 400, 413 or 415
 */
export async function readBody(
  request: IncomingMessage,
  response: Pick<Response, 'setHeader'>,
  { limit, maxDepth, anyNumbers = false }: BodyRules,
): Promise<Body> {
  const text = await readText(request, limit).catch((error: unknown) => {
    // The rest of the body need not be read.
    response.setHeader('Connection', 'close');
    throw error;
  });
  if (text === '') return { text: undefined, value: undefined };
  try {
    return { text, value: await parseLong(text, maxDepth, anyNumbers) };
  } catch (error) {
    if (error instanceof JsonParseError) throw new MatrixError(400, error.code, error.message);
    throw error;
  }
}

/** The declared length of a body, in bytes; infinite if not declared. */
export function bodyLength({ headers }: IncomingMessage): number {
  if (headers['transfer-encoding'] !== undefined) return Infinity;
  return Number(headers['content-length'] ?? 0);
}

async function readText(request: IncomingMessage, limit: number): Promise<string> {
  const encoding = request.headers['content-encoding'];
  if (encoding !== undefined && encoding !== 'identity') {
    throw new MatrixError(415, 'M_NOT_JSON', 'The body must not be compressed.');
  }
  if (bodyLength(request) > limit && bodyLength(request) < Infinity) throw tooLarge(limit);
  const chunks: Buffer[] = [];
  let size = 0;
  // Leaving the loop must not close the connection before the response is sent.
  const body: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false });
  for await (const chunk of body) {
    size += chunk.length;
    if (size > limit) throw tooLarge(limit);
    chunks.push(chunk);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw new MatrixError(400, 'M_NOT_JSON', 'The body is not UTF-8.');
  }
}

function tooLarge(limit: number): MatrixError {
  return new MatrixError(413, 'M_TOO_LARGE', `The body may have at most ${String(limit)} bytes.`);
}

/**
 * Sends JSON as `application/json` without a charset: JSON has none (RFC 8259, section 11), and some programs compare
 * the whole header.
 */
export const plainJson: RequestHandler = (_request, response, next) => {
  response.json = (body: unknown) => {
    if (!response.hasHeader('Content-Type')) response.setHeader('Content-Type', 'application/json');
    return response.send(Buffer.from(JSON.stringify(body)));
  };
  next();
};

/**
 * Allows web pages of any origin to use the Matrix API. That is safe because it uses tokens, not cookies.
 *
 * @see Matrix specification, client-server API, "Web Browser Clients"
 */
export const allowAnyOrigin: RequestHandler = (request, response, next) => {
  response.setHeader('Access-Control-Allow-Origin', '*');
  response.setHeader('Access-Control-Allow-Methods', 'GET, POST, PUT, DELETE, OPTIONS');
  response.setHeader('Access-Control-Allow-Headers', 'X-Requested-With, Content-Type, Authorization');
  response.setHeader('Cross-Origin-Resource-Policy', 'cross-origin');
  if (request.method === 'OPTIONS') {
    response.status(200).end();
    return;
  }
  next();
};

/**
 * Security headers for the web client and the API.
 *
 * @param publicUrl whether clients use https
 */
export function securityHeaders(publicUrl: string): RequestHandler {
  const https = publicUrl.startsWith('https:');
  return helmet({
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'none'"],
        scriptSrc: ["'self'"],
        // Angular adds the styles of components to the page.
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:', 'blob:'],
        fontSrc: ["'self'"],
        mediaSrc: ["'self'", 'blob:', 'mediastream:'],
        workerSrc: ["'self'", 'blob:'],
        manifestSrc: ["'self'"],
        // 'self' covers the WebSocket of the same origin, but not in every browser that is still in use.
        connectSrc: ["'self'", publicUrl.replace(/^http/, 'ws').replace(/^(wss?:\/\/[^/]+).*$/, '$1')],
        baseUri: ["'self'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
        ...(https ? { upgradeInsecureRequests: [] } : {}),
      },
    },
    crossOriginEmbedderPolicy: false,
    strictTransportSecurity: https && { maxAge: 365 * 24 * 60 * 60 },
    referrerPolicy: { policy: 'no-referrer' },
    xFrameOptions: { action: 'deny' },
  }) as RequestHandler;
}

/** Logs one line per request, without query, headers and body. */
export function requestLog(log: Logger): RequestHandler {
  return pinoHttp({
    logger: log,
    quietReqLogger: true,
    customLogLevel: (_request, response, error) => {
      if (error || response.statusCode >= 500) return 'warn';
      return 'debug';
    },
    customSuccessMessage: () => 'request',
    customErrorMessage: () => 'request failed',
    serializers: {
      req: (request: { method: string; url: string }) => ({ method: request.method, path: loggablePath(request.url) }),
      res: (response: { statusCode: number }) => ({ status: response.statusCode }),
      err: (error: { raw?: unknown }) => describeError(error.raw ?? error),
    },
  }) as RequestHandler;
}
