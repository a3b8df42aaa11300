/** Kinds of values that settings have, as the environment writes them. */
import { BlockList, isIP, isIPv4 } from 'node:net';
import { z } from 'zod';

export interface Address {
  readonly host: string;
  readonly port: number;
}

const MISSING = { error: 'is missing' };
export const text = z.string(MISSING).max(4096, 'is too long');
export const list = text.transform((value) =>
  value
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== ''),
);
export const address = text.transform((value, context): Address => {
  const [, bracketed, plain, digits] = /^(?:\[([^\]]+)\]|([^:[\]]+)):([0-9]{1,5})$/.exec(value) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  if (host === undefined || port > 65_535) {
    context.addIssue('must be an address and a port, such as 127.0.0.1:8440');
    return z.NEVER;
  }
  return { host, port };
});
export const webAddress = text.refine(
  isWebAddress,
  'must be an http or https address without credentials, query or fragment',
);
export const bytes = text.regex(/^[0-9]{1,15}$/, 'must be a number of bytes').transform(Number);
export const days = text.regex(/^[0-9]{1,5}$/, 'must be a number of days').transform(Number);
/** Given in minutes, in milliseconds. */
export const minutes = text
  .regex(/^[0-9]{1,4}(\.[0-9]{1,3})?$/, 'must be a number of minutes, such as 2 or 0.5')
  .transform((value) => Math.round(Number(value) * 60_000));
export const claim = text.regex(
  /^[\x21-\x7e]{1,100}$/,
  'must be the name of a claim, such as tenant_id or realm_access.roles',
);
export const flag = z.enum(['0', '1'], 'must be 0 or 1').transform((value) => value === '1');

function parsedUrl(value: string): URL | undefined {
  return URL.canParse(value) ? new URL(value) : undefined;
}

function isWebAddress(value: string): boolean {
  const url = parsedUrl(value);
  return (
    url !== undefined &&
    (url.protocol === 'https:' || url.protocol === 'http:') &&
    url.username === '' &&
    url.password === '' &&
    !/[?#]/.test(value)
  );
}

export function isDatabaseUrl(value: string): boolean {
  const protocol = parsedUrl(value)?.protocol;
  return protocol === 'postgres:' || protocol === 'postgresql:';
}

export function hosts(items: readonly string[], context: z.RefinementCtx): Map<string, string> {
  const map = new Map<string, string>();
  for (const item of items) {
    const [name, ip, ...rest] = item.split('=');
    if (name === undefined || name === '' || ip === undefined || isIP(ip) === 0 || rest.length > 0) {
      context.addIssue('must be a list such as hamburg.example=10.0.0.1,bremen.example=10.0.0.2');
      return z.NEVER;
    }
    map.set(name.toLowerCase(), ip);
  }
  return map;
}

export function areRanges(items: readonly string[]): boolean {
  return items.every(isRange);
}

export function isRange(item: string): boolean {
  const [ip, bits, ...rest] = item.split('/');
  if (ip === undefined || bits === undefined || rest.length > 0 || !/^[0-9]{1,3}$/.test(bits)) return false;
  try {
    new BlockList().addSubnet(ip, Number(bits), isIPv4(ip) ? 'ipv4' : 'ipv6');
    return true;
  } catch {
    return false;
  }
}
