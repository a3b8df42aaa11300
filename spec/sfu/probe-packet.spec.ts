import { randomBytes } from 'node:crypto';
import {
  NONCE_SIZE,
  PROBE_KEY_SIZE,
  PROBE_SIZE,
  isAuthentic,
  linkTag,
  readProbe,
  writeProbe,
  type Probe,
} from '../../sfu/probe-packet.ts';

const KEY = Buffer.alloc(PROBE_KEY_SIZE, 7);
const QUESTION: Probe = {
  type: 'question',
  tag: linkTag('link-1'),
  sequence: 0x0102030405060708n,
  nonce: '0f'.repeat(NONCE_SIZE),
};

describe('the packet of a probe', () => {
  it('has 80 bytes, an answer no more than its question', () => {
    expect(writeProbe(QUESTION, KEY).length).toBe(80);
    expect(writeProbe({ ...QUESTION, type: 'answer' }, KEY).length).toBe(80);
  });

  it('has each part at its place', () => {
    const packet = writeProbe(QUESTION, KEY);
    expect(packet.toString('latin1', 0, 4)).toBe('HTLP');
    expect([...packet.subarray(4, 8)]).toEqual([1, 0, 0, 0]);
    expect(packet.toString('hex', 8, 24)).toBe(linkTag('link-1'));
    expect(packet.toString('hex', 24, 32)).toBe('0102030405060708');
    expect(packet.toString('hex', 32, 48)).toBe(QUESTION.nonce);
    expect(writeProbe({ ...QUESTION, type: 'answer' }, KEY)[4]).toBe(2);
  });

  it('is read as it was written', () => {
    expect(readProbe(writeProbe(QUESTION, KEY))).toEqual(QUESTION);
    const answer: Probe = { ...QUESTION, type: 'answer', sequence: 2n ** 64n - 1n };
    expect(readProbe(writeProbe(answer, KEY))).toEqual(answer);
  });

  it('names its link by 16 bytes that do not tell the id', () => {
    expect(linkTag('link-1')).toMatch(/^[0-9a-f]{32}$/);
    expect(linkTag('link-1')).toBe(linkTag('link-1'));
    expect(linkTag('link-2')).not.toBe(linkTag('link-1'));
  });

  it('is none of ours with a byte less or more', () => {
    const packet = writeProbe(QUESTION, KEY);
    for (const length of [0, 1, 4, PROBE_SIZE - 1]) expect(readProbe(packet.subarray(0, length))).toBeUndefined();
    expect(readProbe(Buffer.concat([packet, Buffer.alloc(1)]))).toBeUndefined();
  });

  it('is none of ours with another beginning', () => {
    for (const at of [0, 1, 2, 3]) {
      const packet = writeProbe(QUESTION, KEY);
      packet.writeUInt8(packet.readUInt8(at) ^ 1, at);
      expect(readProbe(packet)).toBeUndefined();
    }
  });

  it('is none of ours when it is neither question nor answer', () => {
    for (const type of [0, 3, 255]) {
      const packet = writeProbe(QUESTION, KEY);
      packet.writeUInt8(type, 4);
      expect(readProbe(packet)).toBeUndefined();
    }
  });

  it('is authentic with the key that it was written with, and no other', () => {
    const packet = writeProbe(QUESTION, KEY);
    expect(isAuthentic(packet, KEY)).toBeTrue();
    expect(isAuthentic(packet, randomBytes(PROBE_KEY_SIZE))).toBeFalse();
    expect(isAuthentic(packet, Buffer.alloc(0))).toBeFalse();
  });

  it('is not authentic when any of its bytes is another one', () => {
    const authentic = Array.from({ length: PROBE_SIZE }, (_, at) => at).filter((at) => {
      const packet = writeProbe(QUESTION, KEY);
      packet.writeUInt8(packet.readUInt8(at) ^ 1, at);
      return isAuthentic(packet, KEY);
    });
    expect(authentic).toEqual([]);
  });

  it('of a question is no authentic answer', () => {
    const packet = writeProbe(QUESTION, KEY);
    packet.writeUInt8(2, 4);
    expect(readProbe(packet)?.type).toBe('answer');
    expect(isAuthentic(packet, KEY)).toBeFalse();
  });
});
