/** Homeservers that judge each other by certificates: each behind a reverse proxy that serves its statement. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServerResponse } from 'node:http';
import { pino } from 'pino';
import { Authority } from '../../deploy/authority/authority.ts';
import type { Issued, OrganisationOptions } from '../../deploy/authority/authority.ts';
import { Responder } from '../../deploy/authority/responder.ts';
import { makeStatement } from '../../federation/trust/statement.ts';
import { eventually, freePorts, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver } from '../support/homeservers.ts';
import { startMeetingServers } from '../support/meetings.ts';
import { Front } from './front.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** A refused server is judged again after 5 s, 10 s …, when the sweep of every 5 s comes by. */
export const PATIENCE_MS = 40_000;

export type LogLine = Readonly<Record<string, unknown>>;

/** What differs from a good statement. */
export interface StatementChange {
  readonly issuer?: Authority;
  readonly certificate?: OrganisationOptions;
  /** A certificate that was issued before. */
  readonly issued?: Issued;
  readonly serverName?: string;
  readonly keys?: ReadonlyMap<string, string>;
  readonly number?: number;
  readonly lifeMs?: number;
}

export class Town {
  readonly server: TestHomeserver;
  readonly front: Front;
  readonly keyFile: string;
  readonly log: LogLine[];
  readonly #issuer: Authority;
  readonly #name: string;
  #number = 0;

  constructor(parts: Pick<Town, 'server' | 'front' | 'keyFile' | 'log'>, issuer: Authority, name: string) {
    this.server = parts.server;
    this.front = parts.front;
    this.keyFile = parts.keyFile;
    this.log = parts.log;
    this.#issuer = issuer;
    this.#name = name;
  }

  get serverName(): string {
    return this.server.serverName;
  }

  issue(change: Pick<StatementChange, 'issuer' | 'certificate'> = {}): Promise<Issued> {
    const { issuer = this.#issuer, certificate } = change;
    return issuer.organisation({ host: 'localhost', organisation: this.#name, ...certificate });
  }

  /** A statement with a higher number than the one before. */
  async state(change: StatementChange = {}): Promise<string> {
    const issued = change.issued ?? (await this.issue(change));
    this.#number = change.number ?? this.#number + 1;
    const now = Date.now();
    return makeStatement({
      serverName: change.serverName ?? this.serverName,
      keys: change.keys ?? (await this.front.keys()),
      number: this.#number,
      issuedAt: now - 1_000,
      expiresAt: now + (change.lifeMs ?? DAY_MS),
      certificateKey: issued.privateKey,
      chain: [...issued.chain],
    });
  }

  /** Serves a new statement from now on. @returns the certificate */
  async certify(change: StatementChange = {}): Promise<Issued> {
    const issued = change.issued ?? (await this.issue(change));
    this.front.statement = await this.state({ ...change, issued });
    return issued;
  }

  /** Serves statements that others have to fetch again after some seconds. */
  async certifyForSeconds(lifeMs: number): Promise<void> {
    const issued = await this.issue();
    this.front.statement = (response: ServerResponse) => {
      this.state({ issued, lifeMs }).then(
        (statement) => response.writeHead(200).end(statement),
        () => response.destroy(),
      );
    };
  }

  async restart(changed?: Readonly<Record<string, string>>): Promise<void> {
    await this.server.stop();
    await this.server.start(changed);
  }

  async health(): Promise<unknown> {
    return (await fetch(`${this.server.url}/_hansetag/health`)).json();
  }

  /** The last line of its log about its trust in another town. */
  judged(other: Town): LogLine | undefined {
    return this.log.findLast(({ server, msg }) => server === other.serverName && /federate with it/.test(String(msg)));
  }

  /** Waits until it says why another town is not trusted, or `trusted`. */
  async judges(other: Town, wanted: string): Promise<LogLine | undefined> {
    return eventually(
      () => Promise.resolve(this.judged(other)),
      (line) => line !== undefined && (line['reason'] ?? 'trusted') === wanted,
      PATIENCE_MS,
    );
  }
}

export interface Towns {
  readonly federation: TestFederation;
  readonly towns: readonly Town[];
  readonly root: Authority;
  readonly authority: Authority;
  readonly responder: Responder;
  /** Another authority that all trust, with a responder of its own. */
  readonly late: { readonly authority: Authority; readonly responder: Responder };
  /** An authority that none of them trusts. */
  readonly stranger: Authority;
  close(): Promise<void>;
}

/** Starts towns without statements. @param options `trust` of the town at an index; `pki` if it is not given */
export async function startTowns(
  names: readonly string[],
  options: { readonly trust?: (index: number) => string; readonly meetings?: boolean } = {},
): Promise<Towns> {
  const folder = mkdtempSync(join(tmpdir(), 'hansetag-towns-'));
  const responder = await Responder.start();
  const made = { url: responder.url, now: Date.now };
  const root = await Authority.root({ ...made, name: 'C=DE, O=Verwaltung, CN=Root' });
  const authority = await root.intermediate('C=DE, O=Verwaltung, CN=Organisations');
  const stranger = await Authority.root({ ...made, name: 'C=DE, O=Nobody, CN=Root' });
  responder.serve(root, authority, stranger);
  const lateResponder = await Responder.start();
  const late = await Authority.root({ url: lateResponder.url, now: Date.now, name: 'C=DE, O=Land, CN=Root' });
  lateResponder.serve(late);
  const anchors = join(folder, 'anchors.pem');
  writeFileSync(anchors, `${root.pem}\n${late.pem}`);
  const ports = await freePorts(names.length);
  const logs = names.map((): LogLine[] => []);
  const keyFile = (index: number): string => join(folder, `signing-${String(index)}.key`);
  const settings = (index: number): Readonly<Record<string, string>> => ({
    HANSETAG_TRUST: options.trust?.(index) ?? 'pki',
    HANSETAG_TRUST_ANCHORS: anchors,
    HANSETAG_SIGNING_KEY_FILE: keyFile(index),
    HANSETAG_FEDERATION_LISTEN: `127.0.0.1:${String(ports[index])}`,
  });
  const log = (index: number): pino.Logger =>
    pino({ level: 'info' }, { write: (line) => void logs[index]?.push(JSON.parse(line) as LogLine) });
  const federation = await (options.meetings
    ? startMeetingServers(names.length, settings, [], log)
    : startHomeservers(names.length, settings, [], log));
  const towns = await Promise.all(
    federation.servers.map(async (server, index) => {
      const front = await Front.start(Number(server.serverName.split(':')[1]), ports[index] ?? 0, federation);
      const parts = { server, front, keyFile: keyFile(index), log: logs[index] ?? [] };
      return new Town(parts, authority, names[index] ?? '');
    }),
  );
  return {
    federation,
    towns,
    root,
    authority,
    responder,
    late: { authority: late, responder: lateResponder },
    stranger,
    async close() {
      await federation.close();
      await Promise.all([...towns.map(({ front }) => front.close()), responder.close(), lateResponder.close()]);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
