/**
 * What is attacked, in a process of its own: a homeserver with its SFU, or an SFU alone. It tells by IPC what goes wrong
 * in it, and how long it stood still and how much memory it holds when it is asked.
 */
import express from 'express';
import type { Application } from 'express';
import { LRUCache } from 'lru-cache';
import { pino } from 'pino';
import { startHomeservers } from '../../support/homeservers.ts';
import { MediaServer } from '../kit/media-server.ts';
import { Stalls } from './stalls.ts';
import type { Place, Route, TargetKind, TargetMessage, TargetOrder, Usage } from './target-messages.ts';

/** What the router lists of itself; Express's types do not know it yet. */
interface Listing {
  listRoutes(): readonly { readonly path: string; readonly methods?: readonly string[]; readonly router?: Listing }[];
}

const MIB = 1024 * 1024;
const PEAK_EVERY_MS = 100;

const tell = (message: TargetMessage): void => void process.send?.(message);

process.on('uncaughtException', (error, origin) => {
  const type = origin === 'unhandledRejection' ? 'rejection' : 'exception';
  tell({ type, what: error instanceof Error ? (error.stack ?? error.message) : String(error) });
});

const log = pino({ level: 'error' }, { write: (line: string) => tell({ type: 'error', what: line.trim() }) });
const apps = new Set<Application>();
const caches = new Set<LRUCache<object, object>>();
const stalls = new Stalls((ms) => tell({ type: 'stall', ms: Math.round(ms) }));
const undo: (() => Promise<unknown>)[] = [];
let peakRss = 0;

setInterval(() => (peakRss = Math.max(peakRss, process.memoryUsage.rss())), PEAK_EVERY_MS).unref();
process.on('disconnect', () => process.exit());
process.on('message', (order: TargetOrder) => {
  if (order === 'end') end().catch(() => process.exit(1));
  else answer(order);
});

rememberApps();
rememberCaches();
try {
  tell({ type: 'ready', place: await start(process.argv[2] as TargetKind, process.argv[3] ?? '{}') });
} catch (error) {
  console.error(error);
  process.exit(1);
}

async function start(kind: TargetKind, settings: string): Promise<Place> {
  const media = await MediaServer.start('127.0.0.2', log);
  undo.push(() => media.close());
  const { config } = media;
  const sfu = { address: config.listenIp, webRtcPort: config.webRtcPort, probePort: config.probePort };
  const place = { control: media.line.path, sfu };
  if (kind === 'sfu') return place;
  const all = { ...media.settings, ...(JSON.parse(settings) as Record<string, string>) };
  const federation = await startHomeservers(1, all, [], log);
  undo.push(() => federation.close());
  const [server] = federation.servers;
  if (!server) throw new Error('There is no server.');
  const { serverName, url } = server;
  const routes = [...apps].flatMap((app) => routesOf(app.router as unknown as Listing));
  return { ...place, homeserver: { serverName, url, tls: federation.tls, routes } };
}

async function end(): Promise<void> {
  for (let close = undo.pop(); close; close = undo.pop()) await close();
  process.exit();
}

function answer(order: 'usage' | 'reset'): void {
  const { longestMs, ownMs } = stalls;
  const rss = process.memoryUsage.rss();
  // Collecting everything at once stalls as well, but it is not the attacker's doing.
  stalls.stop();
  // They are bounded and fill for long: what is left without them is what could grow for ever.
  for (const cache of caches) cache.clear();
  for (let times = 0; times < 2; times += 1) globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  stalls.start();
  const usage: Usage = {
    rss: Math.round(rss / MIB),
    peakRss: Math.round(Math.max(peakRss, rss) / MIB),
    live: Math.round((heapUsed + external) / MIB),
    longestStall: Math.round(longestMs),
    longestOwnStall: Math.round(ownMs),
  };
  if (order === 'reset') {
    stalls.reset();
    peakRss = 0;
  }
  tell({ type: 'usage', usage });
}

/** Express does not tell which apps there are: each is noted when something is mounted on it. */
function rememberApps(): void {
  const { application } = express;
  const { use } = application;
  application.use = function (this: Application, ...handlers: Parameters<typeof use>) {
    apps.add(this);
    return use.apply(this, handlers);
  } as typeof use;
}

function rememberCaches(): void {
  const { set } = LRUCache.prototype;
  LRUCache.prototype.set = function (this: LRUCache<object, object>, ...entry: Parameters<typeof set>) {
    caches.add(this);
    return set.apply(this, entry);
  } as typeof set;
}

function routesOf(router: Listing, below = ''): Route[] {
  return router.listRoutes().flatMap(({ path, methods, router: mounted }) => {
    const whole = below + (path === '/' ? '' : path);
    if (mounted) return routesOf(mounted, whole);
    return (methods ?? [])
      .filter((method) => method !== '*' && method !== 'HEAD')
      .map((method) => ({ method, path: whole }));
  });
}
