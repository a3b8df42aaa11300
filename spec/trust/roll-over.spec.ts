import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keepAuthority } from '../../deploy/authority/kept-authority.ts';
import { Responder } from '../../deploy/authority/responder.ts';
import { rollSigningKey } from '../../homeserver/base/signing-key-file.ts';
import { at, eventually, startHomeservers } from '../support/homeservers.ts';
import type { TestFederation, TestHomeserver, TestUser } from '../support/homeservers.ts';

const PATIENCE_MS = 40_000;
const NAMES = ['Lübeck', 'Hamburg'];

describe('Trust by certificate: servers that make their own statements', () => {
  let folder: string;
  let responder: Responder;
  let authority: Awaited<ReturnType<typeof keepAuthority>>;
  let federation: TestFederation;
  let luebeck: TestHomeserver;
  let people: { readonly bert: TestUser; readonly anna: TestUser };
  let room: string;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'hansetag-spec-roll-'));
    responder = await Responder.start();
    authority = await keepAuthority(join(folder, 'authority'), responder);
    for (const name of NAMES) await certify(name);
    federation = await startHomeservers(2, (index) => ({
      HANSETAG_TRUST: 'pki',
      HANSETAG_TRUST_ANCHORS: authority.rootFile,
      HANSETAG_ORGANISATION_CERT: file(NAMES[index], 'pem'),
      HANSETAG_ORGANISATION_KEY: file(NAMES[index], 'key'),
      HANSETAG_SIGNING_KEY_FILE: file(NAMES[index], 'signing'),
      HANSETAG_PASSWORD_COST: '10',
    }));
    const [first, second] = federation.servers;
    if (!first || !second) throw new Error('A server is missing.');
    luebeck = first;
    people = { bert: await first.register('bert'), anna: await second.register('anna') };
    const made = await people.bert.must('POST', 'client/v3/createRoom', { invite: [people.anna.userId] });
    room = encodeURIComponent(String(at(made, 'room_id')));
    await people.anna.must('POST', `client/v3/rooms/${room}/join`, {});
  }, 90_000);
  afterAll(async () => {
    await federation.close();
    await responder.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const file = (name: string | undefined, end: string): string => join(folder, `${name ?? ''}.${end}`);

  async function certify(name: string): Promise<void> {
    const { chainPem, keyPem } = await authority.intermediate.organisation({ host: 'localhost', organisation: name });
    writeFileSync(file(name, 'key'), keyPem);
    writeFileSync(file(name, 'pem'), chainPem);
  }

  /** Somebody says something, and the other one sees it. @returns the key that signed it */
  async function says(from: TestUser, to: TestUser, words: string): Promise<string> {
    const path = `client/v3/rooms/${room}/send/m.room.message/${encodeURIComponent(words)}`;
    await from.must('PUT', path, { msgtype: 'm.text', body: words });
    await eventually(
      () => to.must('GET', `client/v3/rooms/${room}/messages?dir=b&limit=20`),
      (answer) => JSON.stringify(answer).includes(words),
      PATIENCE_MS,
    );
    const keys = (await (await fetch(`${luebeck.url}/_matrix/key/v2/server`)).json()) as object;
    return Object.keys(at(keys, 'verify_keys') as object).join(' ');
  }

  it('go on while a signing key is rolled without an overlap, and afterwards', async () => {
    const { bert, anna } = people;
    const before = await says(bert, anna, 'before the roll-over');
    const { next } = await rollSigningKey(file('Lübeck', 'signing'), Date.now());
    const keysOf = async (): Promise<string> => (await fetch(`${luebeck.url}/_matrix/key/v2/server`)).text();
    await eventually(keysOf, (text) => text.includes(next));
    expect(await says(bert, anna, 'after the roll-over')).toContain(before);
    await says(anna, bert, 'and back again');
  }, 120_000);

  it('go on while a certificate is renewed', async () => {
    const { bert, anna } = people;
    await certify('Hamburg');
    await says(anna, bert, 'with another certificate');
    await says(bert, anna, 'which the other side takes');
  }, 120_000);
});
