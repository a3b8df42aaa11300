/** Requests to the paths of a route table: good ones, and such with something wrong in path, query, header or body. */
import type { Random } from '../../soak/random.ts';
import { delivery } from './http.ts';
import type { Delivery } from './http.ts';
import { jsonText, mutateBody, mutateText } from './mutate.ts';
import type { Route } from './target-messages.ts';

/** Names stand for what the world has under them: `{{room}}`. */
export interface RouteInput {
  readonly route: Route;
  /** Values of the path's parameters. */
  readonly parameters: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Who asks, as the face knows them. */
  readonly as: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly delivery: Delivery;
}

/** What a good request to a path has, beside its parameters. */
export interface Example {
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  /** A body as forms of web pages have it. */
  readonly form?: Readonly<Record<string, string>>;
  readonly parameters?: Readonly<Record<string, string>>;
}

export interface Examples {
  /** By the method and the end of the path; the longest end counts. */
  readonly of: Readonly<Record<string, Example>>;
  readonly parameters: Readonly<Record<string, string>>;
  readonly askers: readonly (readonly [weight: number, name: string])[];
}

const VALID = 0.15;
const ODD_HEADERS: readonly (readonly [string, string])[] = [
  ['Content-Type', 'text/plain; charset=utf-16'],
  ['Content-Encoding', 'gzip'],
  ['Accept-Language', 'x'.repeat(4_000)],
  ['Accept-Language', '*;q=nonsense,,,;'],
  ['Cookie', '=;;=%ff; hansetag_account=%00; _session=a'],
  ['Authorization', 'Bearer '],
  ['Authorization', 'Bearer \u00ff\u00ff'],
  ['Authorization', 'X-Matrix origin=a'],
  ['X-Forwarded-For', '::1, nonsense'],
  ['Range', 'bytes=999999999999-1'],
  ['If-None-Match', '*'],
  ['Expect', '100-continue'],
  ['Origin', 'null'],
];

/** The example of a route; undefined where there is none. */
export function exampleOf({ method, path }: Route, { of }: Examples): Example | undefined {
  const candidates = Object.keys(of).filter((key) => {
    const [asked, end = ''] = key.split(' ');
    return asked === method && path.endsWith(end);
  });
  const [longest] = candidates.sort((a, b) => b.length - a.length);
  return longest === undefined ? undefined : of[longest];
}

export function routeInput(random: Random, routes: readonly Route[], examples: Examples): RouteInput {
  const route = random.of(routes);
  const example = exampleOf(route, examples) ?? {};
  const parameters: Record<string, string> = {};
  for (const [, name = ''] of route.path.matchAll(/[:*]([A-Za-z]+)/g)) {
    parameters[name] = example.parameters?.[name] ?? examples.parameters[name] ?? 'something';
  }
  const input: RouteInput = {
    route,
    parameters,
    query: example.query ?? {},
    as: random.weighted(examples.askers),
    headers: {},
    delivery: delivery(random),
    ...(example.body === undefined ? {} : { body: jsonText(example.body) }),
    ...(example.form === undefined ? {} : { body: formText(example.form), headers: FORM }),
  };
  if (random.chance(VALID)) return input;
  const wrong = random.weighted<() => Partial<RouteInput>>([
    [
      example.body === undefined ? 1 : 12,
      () => ({ body: mutateBody(random, example.body ?? { a: 1, type: 'm.text', list: ['{{user}}'] }) }),
    ],
    ...(example.form === undefined ? [] : ([[12, () => ({ body: wrongForm(random, example.form ?? {}) })]] as const)),
    [4, () => ({ parameters: changedOne(random, parameters) })],
    [4, () => ({ query: changedOne(random, Object.keys(input.query).length > 0 ? input.query : QUERY) })],
    [1, () => ({ headers: Object.fromEntries([random.of(ODD_HEADERS)]) })],
    [
      1,
      () => ({ route: { ...route, method: random.of(['GET', 'PUT', 'POST', 'DELETE', 'PATCH', 'HEAD', 'OPTIONS']) } }),
    ],
  ])();
  return { ...input, ...wrong };
}

const QUERY: Readonly<Record<string, string>> = {
  access_token: 'nonsense',
  limit: '10',
  from: 's1',
  dir: 'b',
  since: 's1',
  filter: '{"room":{}}',
  ts: '0',
  user_id: '{{user}}',
};

const FORM = { 'Content-Type': 'application/x-www-form-urlencoded' };

function formText(form: Readonly<Record<string, string>>): string {
  // Names of the world stay as they are.
  return Object.entries(form)
    .map(([name, value]) => `${encodeURIComponent(name.toWellFormed())}=${encodeURIComponent(value.toWellFormed())}`)
    .join('&')
    .replaceAll(/%7B%7B(\w+)%7D%7D/g, '{{$1}}');
}

function wrongForm(random: Random, form: Readonly<Record<string, string>>): string {
  const text = formText(changedOne(random, form));
  if (random.chance(0.7)) return text;
  return random.of([
    `${text}&${text}`,
    text.replaceAll('=', '[a][]='),
    mutateText(random, text),
    '&'.repeat(2_000),
    '%',
  ]);
}

function changedOne(random: Random, values: Readonly<Record<string, string>>): Record<string, string> {
  const names = Object.keys(values);
  if (names.length === 0) return { ...values, surplus: mutateText(random, 'x') };
  const name = random.of(names);
  const { [name]: value = '', ...others } = values;
  if (random.chance(0.1)) return others;
  return { ...others, [name]: mutateText(random, value).slice(0, 6_000) };
}

/** The path with its query as it goes over the wire. */
export function addressOf({ route, parameters, query }: RouteInput, world: ReadonlyMap<string, string>): string {
  const path = route.path
    .replace(/\{\/:([A-Za-z]+)\}/g, '/:$1')
    .replace(/[:*]([A-Za-z]+)/g, (_, name: string) => encoded(named(parameters[name] ?? '', world)));
  const asked = Object.entries(query).map(([name, value]) => `${encoded(name)}=${encoded(named(value, world))}`);
  return asked.length === 0 ? path : `${path}?${asked.join('&')}`;
}

/** A text in which names are replaced by what the world has under them. */
export function named(text: string, world: ReadonlyMap<string, string>): string {
  return text.replaceAll(/\{\{(\w+)\}\}/g, (whole, name: string) => world.get(name) ?? whole);
}

/** Lone surrogates have no bytes: what stands for them is not UTF-8 either. */
function encoded(text: string): string {
  return text
    .split('%')
    .map((part) => encodeURIComponent(part.toWellFormed()).replaceAll('%EF%BF%BD', '%ED%A0%80'))
    .join(text.includes('%00') ? '%' : '%25');
}
