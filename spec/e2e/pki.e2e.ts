/** The demonstration with `--pki`: organisations that federate by certificate only. */
import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeProtectedHeader } from 'jose';
import { at, clientOf, eventually } from '../support/homeservers.ts';
import { startPair } from './meeting.ts';
import type { Organisation, Pair } from './meeting.ts';

describe('Trust by certificate: npm start -- --pki', () => {
  let pair: Pair;

  beforeAll(async () => {
    const env = { HANSETAG_REGISTRATION: '1', HANSETAG_PASSWORD_COST: '10', HANSETAG_RATE_LIMITS: 'off' };
    pair = await startPair({ pki: true, env: { luebeck: env, hamburg: env } });
  });

  afterAll(() => pair.close());

  /** Names of the demonstration are known to browsers only. */
  const urlOf = ({ clientPort }: Organisation): string => `http://127.0.0.1:${String(clientPort)}`;

  it('certifies both organisations by an authority of its own', async () => {
    const root = new X509Certificate(await readFile(join(pair.dataDir, 'pki/root.pem')));
    for (const organisation of [pair.luebeck, pair.hamburg]) {
      const response = await fetch(`${urlOf(organisation)}/_hansetag/key/v1/statement`);
      expect(response.status).toBe(200);
      const chain = decodeProtectedHeader(await response.text()).x5c ?? [];
      const [own, above] = chain.map((der) => new X509Certificate(Buffer.from(der, 'base64')));
      expect(own?.subject).toContain(`O=${organisation.name}`);
      expect(above?.verify(root.publicKey)).toBeTrue();
      const health: unknown = await (await fetch(`${urlOf(organisation)}/_hansetag/health`)).json();
      expect(at(health, 'organisationCertificate', 'state')).toBe('valid');
    }
  });

  it('lets people of both into one room', async () => {
    const [bert, anna] = await Promise.all([
      clientOf(urlOf(pair.luebeck)).register('bernd'),
      clientOf(urlOf(pair.hamburg)).register('anke'),
    ]);
    const made = await bert.must('POST', 'client/v3/createRoom', { preset: 'private_chat', invite: [anna.userId] });
    const roomId = encodeURIComponent(String(at(made, 'room_id')));
    await anna.must('POST', `client/v3/rooms/${roomId}/join`, {});
    const members = await eventually(
      () => bert.must('GET', `client/v3/rooms/${roomId}/joined_members`),
      (answer) => at(answer, 'joined', anna.userId) !== undefined,
    );
    expect(Object.keys(at(members, 'joined') as object).toSorted()).toEqual([anna.userId, bert.userId].toSorted());
  });
});
