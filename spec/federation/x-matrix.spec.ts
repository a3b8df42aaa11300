import { parseWithAnyNumbers } from '../../federation/json.ts';
import type { JsonObject } from '../../federation/json.ts';
import type { KeyLookup } from '../../federation/keyring.ts';
import { createSigningKey, generateSeed } from '../../federation/signing.ts';
import { parseAuthorization, signRequest, verifyRequest, XMatrixError } from '../../federation/x-matrix.ts';
import type { ReceivedRequest } from '../../federation/x-matrix.ts';
import { keysOf, rejection } from './support.ts';
import { VECTORS } from './vectors.ts';

const key = createSigningKey(VECTORS.signing_key.seed, '1');
const keyring = keysOf({ 'hs.example ed25519:1': VECTORS.signing_key.public_key });

const REQUEST = {
  method: 'PUT',
  uri: '/_matrix/federation/v1/send/t%2F1?a=b',
  origin: 'hs.example',
  destination: 'other.example:8448',
  content: { pdus: [{ body: 'Grüße' }], edus: [] },
};

function received(changes: Partial<ReceivedRequest> = {}): ReceivedRequest {
  const { origin: _origin, ...request } = REQUEST;
  return { ...request, authorization: signRequest(REQUEST, key), ...changes };
}

async function refusal(changes: Partial<ReceivedRequest>, keys: KeyLookup = keyring): Promise<string> {
  const error = await rejection(verifyRequest(received(changes), keys));
  return error instanceof XMatrixError ? error.code : String(error);
}

function malformed(header: string): boolean {
  try {
    parseAuthorization(header);
    return false;
  } catch (error) {
    return error instanceof XMatrixError && error.code === 'MALFORMED';
  }
}

describe('the signature of a request', () => {
  it('agrees with an independent implementation', async () => {
    for (const { request, signature, header } of VECTORS.x_matrix) {
      expect(parseAuthorization(signRequest(request, key))).toEqual({
        origin: request.origin,
        destination: request.destination,
        keyId: 'ed25519:1',
        signature,
      });
      expect(await verifyRequest({ ...request, authorization: header }, keyring)).toBe('hs.example');
    }
  });

  it('proves who sent the request', async () => {
    expect(await verifyRequest(received(), keyring)).toBe('hs.example');
  });

  it('does not fit a signed request with a changed byte', async () => {
    const header = signRequest(REQUEST, key);
    const at = header.indexOf('sig="') + 10;
    const changed = header.slice(0, at) + (header[at] === 'A' ? 'B' : 'A') + header.slice(at + 1);
    const changes: Partial<ReceivedRequest>[] = [
      { content: { pdus: [{ body: 'grüße' }], edus: [] } },
      { content: { ...REQUEST.content, extra: null } },
      { content: {} },
      { content: undefined },
      { method: 'POST' },
      { uri: '/_matrix/federation/v1/send/t/1?a=b' },
      { uri: '/_matrix/federation/v1/send/t%2f1?a=b' },
      { uri: `${REQUEST.uri}&` },
      { authorization: changed },
    ];
    for (const change of changes) {
      expect(await refusal(change))
        .withContext(JSON.stringify(change))
        .toBe('BAD_SIGNATURE');
    }
  });

  it('does not count for a wrong origin or a wrong destination', async () => {
    const both = keysOf({
      'hs.example ed25519:1': key.publicKey,
      'victim.example ed25519:1': createSigningKey(generateSeed(), '1').publicKey,
    });
    const posing = signRequest({ ...REQUEST, origin: 'victim.example' }, key);
    expect(await refusal({ authorization: posing }, both)).toBe('BAD_SIGNATURE');
    expect(await refusal({ authorization: signRequest(REQUEST, key).replace('hs.', 'unknown.') })).toBe('UNKNOWN_KEY');
    expect(await refusal({ destination: 'third.example' })).toBe('WRONG_DESTINATION');
    const silent = signRequest(REQUEST, key).replace(/destination="[^"]*",/, '');
    expect(await refusal({ destination: 'third.example', authorization: silent })).toBe('BAD_SIGNATURE');
  });

  it('does not count when no valid key is found', async () => {
    expect(await refusal({}, keysOf({}))).toBe('UNKNOWN_KEY');
    const asked: unknown[] = [];
    const lookup: KeyLookup = {
      key: (...question) => {
        asked.push(question);
        return Promise.resolve(undefined);
      },
    };
    await refusal({}, lookup);
    expect(asked).toEqual([['hs.example', 'ed25519:1', 'now']]);
  });

  it('covers our name where an old server does not write it into the header', async () => {
    const header = signRequest(REQUEST, key).replace(/destination="[^"]*",/, '');
    expect(await verifyRequest(received({ authorization: header }), keyring)).toBe('hs.example');
  });

  it('may be there with several keys, of which all known ones must fit, but of one server only', async () => {
    const second = createSigningKey(generateSeed(), '2');
    const headers = [signRequest(REQUEST, second), signRequest(REQUEST, key)];
    expect(await verifyRequest(received({ authorization: headers }), keyring)).toBe('hs.example');
    const forged = [signRequest({ ...REQUEST, method: 'GET' }, key), signRequest(REQUEST, second)];
    const both = keysOf({ 'hs.example ed25519:1': key.publicKey, 'hs.example ed25519:2': second.publicKey });
    expect(await refusal({ authorization: forged }, both)).toBe('BAD_SIGNATURE');
    const mixed = [signRequest(REQUEST, key), signRequest({ ...REQUEST, origin: 'third.example' }, second)];
    expect(await refusal({ authorization: mixed })).toBe('CONFLICTING_ORIGINS');
    expect(await refusal({ authorization: [] })).toBe('MISSING');
    expect(await refusal({ authorization: Array(4).fill(signRequest(REQUEST, key)) })).toBe('MALFORMED');
  });

  it('tells an empty body from no body', async () => {
    const { content: _content, ...get } = { ...REQUEST, method: 'GET' };
    const authorization = signRequest(get, key);
    expect(await verifyRequest(received({ method: 'GET', content: undefined, authorization }), keyring)).toBe(
      'hs.example',
    );
    expect(await refusal({ method: 'GET', content: {}, authorization })).toBe('BAD_SIGNATURE');
  });

  it('is refused for a body that has no canonical form', async () => {
    expect(await refusal({ content: { a: '\ud800' } })).toBe('MALFORMED');
  });

  it('covers numbers that canonical JSON has no form for, as they were written', async () => {
    const authorization = signRequest({ ...REQUEST, content: { a: 1.5 } }, key);
    expect(await verifyRequest(received({ content: { a: 1.5 }, authorization }), keyring)).toBe('hs.example');
    expect(await refusal({ content: { a: 1.25 }, authorization })).toBe('BAD_SIGNATURE');

    const { origin, destination, method, uri } = REQUEST;
    const contentText = '{"a": 1.0, "\\u0062":"1.0\\"2.0", "c":[1E5,-2e-7,3]}';
    const content = parseWithAnyNumbers(contentText) as JsonObject;
    const text = String.raw`{"content":{"a":1.0,"b":"1.0\"2.0","c":[1E5,-2e-7,3]},"destination":"${destination}","method":"${method}","origin":"${origin}","uri":"${uri}"}`;
    const written = `X-Matrix origin="${origin}",destination="${destination}",key="${key.keyId}",sig="${key.sign(text)}"`;
    expect(await verifyRequest(received({ content, contentText, authorization: written }), keyring)).toBe('hs.example');
    expect(await refusal({ content, authorization: written })).toBe('BAD_SIGNATURE');
    const changed = contentText.replace('1.0,', '1.00,');
    expect(await refusal({ content, contentText: changed, authorization: written })).toBe('BAD_SIGNATURE');
  });
});

describe('an Authorization header', () => {
  it('is read in every form that RFC 9110 allows, and with bare colons', () => {
    const expected = { origin: 'a.example', destination: 'b.example:1', keyId: 'ed25519:k_1', signature: 'c2ln' };
    for (const header of [
      'X-Matrix origin="a.example",destination="b.example:1",key="ed25519:k_1",sig="c2ln"',
      'X-Matrix origin=a.example,destination=b.example:1,key=ed25519:k_1,sig=c2ln',
      'x-matrix   SIG = "c2ln" , Key="ed25519:k_1",\tdestination="b.example:1" ,origin="a.example"',
      'X-Matrix origin="a\\.example",destination="b.example:1",key="ed25519:k_1",sig="c2ln",later="\\"x, y\\""',
      'X-Matrix origin="a.example",destination="b.example:1",key="ed25519:k_1",signature="c2ln"',
    ]) {
      expect(parseAuthorization(header)).withContext(header).toEqual(expected);
    }
    expect(parseAuthorization('X-Matrix origin=a.example,key=ed25519:1,sig=x').destination).toBeUndefined();
  });

  it('is refused when it is malformed', () => {
    for (const header of [
      '',
      'X-Matrix',
      'Bearer abc',
      'X-Matrix origin="a.example"',
      'X-Matrixorigin="a.example",key="ed25519:1",sig="x"',
      'X-Matrix origin="a.example",key="ed25519:1"',
      'X-Matrix origin="a.example",sig="x"',
      'X-Matrix key="ed25519:1",sig="x"',
      'X-Matrix origin="a.example",origin="b.example",key="ed25519:1",sig="x"',
      'X-Matrix origin="a.example",key="ed25519:1",sig="x',
      'X-Matrix origin="a.example" key="ed25519:1" sig="x"',
      'X-Matrix origin="a.example",key="ed25519:1",sig="x",',
      'X-Matrix origin="not a name",key="ed25519:1",sig="x"',
      'X-Matrix origin="a.example",key="rsa:1",sig="x"',
      'X-Matrix origin="a.example",key="ed25519:../x",sig="x"',
      `X-Matrix origin="a.example",key="ed25519:1",sig="${'x'.repeat(5000)}"`,
    ]) {
      expect(malformed(header)).withContext(header.slice(0, 100)).toBeTrue();
    }
  });
});
