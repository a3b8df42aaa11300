/** An authority with its responder, and organisations that it certifies, for specs of trust by certificate. */
import { Authority } from '../../../deploy/authority/authority.ts';
import type { CertificateOptions, Issued, OrganisationOptions } from '../../../deploy/authority/authority.ts';
import { Responder } from '../../../deploy/authority/responder.ts';
import { encodeBase64 } from '../../../federation/base64.ts';
import { Revocation } from '../../../federation/trust/revocation.ts';
import type { RevocationOptions } from '../../../federation/trust/revocation.ts';
import { judgeStatement, makeStatement } from '../../../federation/trust/statement.ts';
import type { JudgeOptions, StatementContent } from '../../../federation/trust/statement.ts';
import type { Verdict } from '../../../federation/trust/verdict.ts';

export const HOUR_MS = 60 * 60_000;
export const DAY_MS = 24 * HOUR_MS;
export const SERVER = 'luebeck.example';
export const KEYS: ReadonlyMap<string, string> = new Map([['ed25519:a_1', encodeBase64(Buffer.alloc(32, 7))]]);

/** A clock that specs turn. */
export class Clock {
  /** Unix ms. */
  time = Date.parse('2027-03-01T12:00:00Z');
  readonly now = (): number => this.time;
}

export interface World {
  readonly clock: Clock;
  readonly responder: Responder;
  readonly root: Authority;
  readonly intermediate: Authority;
  readonly revocation: Revocation;
  /** A certificate of the intermediate for `SERVER`. */
  organisation(options?: OrganisationOptions): Promise<Issued>;
  statement(issued: Issued, content?: Partial<StatementContent>): Promise<string>;
  judge(jws: string, options?: Partial<JudgeOptions>): Promise<Verdict>;
  /** Makes a statement with the certificate and judges it. */
  verdict(issued: Issued, options?: Partial<JudgeOptions>): Promise<Verdict>;
  makeRevocation(options?: Partial<RevocationOptions>): Revocation;
  makeRoot(name: string, certificate?: CertificateOptions): Promise<Authority>;
  close(): Promise<void>;
}

export async function makeWorld(): Promise<World> {
  const clock = new Clock();
  const responder = await Responder.start();
  const makeRoot = async (name: string, certificate: CertificateOptions = {}): Promise<Authority> => {
    const made = await Authority.root({ url: responder.url, name, now: clock.now }, certificate);
    responder.serve(made);
    return made;
  };
  const root = await makeRoot('O=Hanse, CN=Root');
  const intermediate = await root.intermediate('O=Hanse, CN=Organisations');
  responder.serve(intermediate);
  const makeRevocation = (options: Partial<RevocationOptions> = {}): Revocation =>
    new Revocation({ fetchCrl, askOcsp, now: clock.now, ...options });
  const revocation = makeRevocation();
  const world: World = {
    clock,
    responder,
    root,
    intermediate,
    revocation,
    organisation: (options = {}) => intermediate.organisation({ host: SERVER, ...options }),
    statement: ({ privateKey, chain }, content = {}) =>
      makeStatement({
        serverName: SERVER,
        keys: KEYS,
        number: 5,
        issuedAt: clock.time,
        expiresAt: clock.time + 7 * DAY_MS,
        certificateKey: privateKey,
        chain,
        ...content,
      }),
    judge: (jws, options = {}) =>
      judgeStatement(jws, { serverName: SERVER, anchors: [root.certificate], now: clock.time, revocation, ...options }),
    verdict: async (issued, options = {}) => {
      const serverName = options.serverName ?? SERVER;
      return world.judge(await world.statement(issued, { serverName }), options);
    },
    makeRevocation,
    makeRoot,
    close: () => responder.close(),
  };
  return world;
}

/** `trusted`, or the reason against. */
export function outcome(verdict: Verdict): string {
  return verdict.trusted ? 'trusted' : verdict.reason;
}

/** The text of a verdict against; empty for one in favour. */
export function textOf(verdict: Verdict): string {
  return verdict.trusted ? '' : verdict.text;
}

export async function fetchCrl(url: string): Promise<Uint8Array> {
  return bodyOf(await fetch(url));
}

export async function askOcsp(url: string, request: Uint8Array): Promise<Uint8Array> {
  const headers = { 'content-type': 'application/ocsp-request' };
  return bodyOf(await fetch(url, { method: 'POST', headers, body: Uint8Array.from(request) }));
}

async function bodyOf(response: Response): Promise<Uint8Array> {
  if (!response.ok) throw new Error(`status ${String(response.status)}`);
  return new Uint8Array(await response.arrayBuffer());
}
