/** What becomes of a request before and after its handler: handlers here keep what they are given. */
import { handleRequest, requestSchema, requestHandlers } from '../../sfu/requests.ts';
import { sfuRequests, type SfuMethod } from '../../sfu/protocol.ts';
import type { Sfu } from '../../sfu/sfu.ts';

type Handlers = ReturnType<typeof requestHandlers>;

describe('a request to the SFU', () => {
  let calls: { method: string; params: unknown }[];
  let handlers: Handlers;

  beforeEach(() => {
    calls = [];
    const handler = (method: string) => (params: unknown) => {
      calls.push({ method, params });
      return Promise.resolve({ done: method });
    };
    handlers = Object.fromEntries(
      Object.keys(sfuRequests).map((method) => [method, handler(method)]),
    ) as unknown as Handlers;
  });

  it('reaches the handler of its method, with parsed parameters', async () => {
    const params = { conferenceId: '!room:x', unknown: 'dropped' };
    expect(await handleRequest(handlers, 'conference.open', params)).toEqual({ done: 'conference.open' });
    expect(calls).toEqual([{ method: 'conference.open', params: { conferenceId: '!room:x' } }]);
  });

  it('may leave out parameters where none are needed', async () => {
    await handleRequest(handlers, 'stats', undefined);
    await handleRequest(handlers, 'stats', null);
    expect(calls).toEqual([
      { method: 'stats', params: {} },
      { method: 'stats', params: {} },
    ]);
  });

  it('with malformed parameters reaches no handler', async () => {
    const malformed = jasmine.objectContaining({ name: 'ZodError' });
    await expectAsync(handleRequest(handlers, 'conference.open', { conferenceId: '' })).toBeRejectedWith(malformed);
    await expectAsync(handleRequest(handlers, 'conference.open', undefined)).toBeRejectedWith(malformed);
    expect(calls).toEqual([]);
  });

  for (const method of ['', 'Stats', 'stats ', 'toString', 'constructor', '__proto__', 'hasOwnProperty']) {
    it(`of no method, "${method}", reaches no handler`, async () => {
      await expectAsync(handleRequest(handlers, method, {})).toBeRejectedWith(
        jasmine.objectContaining({ code: 'bad-request', message: 'no such method' }),
      );
      expect(calls).toEqual([]);
    });
  }

  it('has a handler for every method of the protocol, and none besides', () => {
    const unused = {} as unknown as Sfu;
    expect(Object.keys(requestHandlers(unused)).sort()).toEqual(Object.keys(sfuRequests).sort() as SfuMethod[]);
  });

  it('of another version of the protocol is refused, naming ours', async () => {
    const unused = {} as unknown as Sfu;
    await expectAsync(handleRequest(requestHandlers(unused), 'hello', { version: 2 })).toBeRejectedWith(
      jasmine.objectContaining({ code: 'unsupported', message: 'the SFU speaks version 1 of the control protocol' }),
    );
  });

  it('has a number and a short method', () => {
    const parses = (value: unknown) => requestSchema.safeParse(value).success;
    expect(parses({ id: 0, method: 'stats' })).toBeTrue();
    expect(parses({ id: Number.MAX_SAFE_INTEGER, method: 'x'.repeat(64), params: 7 })).toBeTrue();
    for (const id of [-1, 0.5, '0', null, undefined, 2 ** 53]) {
      expect(parses({ id, method: 'stats' }))
        .withContext(String(id))
        .toBeFalse();
    }
    for (const method of ['x'.repeat(65), 7, null, undefined]) {
      expect(parses({ id: 0, method }))
        .withContext(String(method))
        .toBeFalse();
    }
  });
});
