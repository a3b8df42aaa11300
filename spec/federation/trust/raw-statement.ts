/** Statements that nothing checks while they are made. */
import { sign } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import type { Issued } from '../../../deploy/authority/authority.ts';
import { STATEMENT_TYPE } from '../../../federation/trust/statement.ts';
import { KEYS, SERVER } from './kit.ts';
import type { World } from './kit.ts';

export function payloadOf({ clock }: World) {
  const iat = Math.floor(clock.time / 1000);
  const verify_keys = { 'ed25519:a_1': { key: KEYS.get('ed25519:a_1') } };
  return { server_name: SERVER, verify_keys, number: 5, iat, exp: iat + 24 * 3600 };
}

export function headerOf({ chain, privateKey }: Pick<Issued, 'chain' | 'privateKey'>): object {
  const alg = privateKey.asymmetricKeyType === 'ed25519' ? 'EdDSA' : 'ES256';
  return { alg, typ: STATEMENT_TYPE, x5c: chain.map(({ raw }) => raw.toString('base64')) };
}

/** @param header changes to the usual one, or its text */
export function signed(
  issued: Pick<Issued, 'chain' | 'privateKey'>,
  header: object | string,
  payload: object | string,
  signer: (text: string) => Buffer = (text) => signText(text, issued.privateKey),
): string {
  const written = typeof header === 'string' ? header : { ...headerOf(issued), ...header };
  const text = `${encode(written)}.${encode(payload)}`;
  return `${text}.${signer(text).toString('base64url')}`;
}

function signText(text: string, key: KeyObject): Buffer {
  const hash = key.asymmetricKeyType === 'ed25519' ? null : 'sha256';
  const dsaEncoding = key.asymmetricKeyType === 'ec' ? { dsaEncoding: 'ieee-p1363' as const } : {};
  return sign(hash, Buffer.from(text), { key, ...dsaEncoding });
}

export function encode(value: object | string): string {
  return Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');
}
