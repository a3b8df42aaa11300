import { errors } from 'mediasoup';
import { z } from 'zod';
import { SfuError } from '../../sfu/errors.ts';
import { toErrorBody } from '../../sfu/failure.ts';
import { sfuErrorSchema } from '../../sfu/protocol.ts';

describe('an error in the form for the homeserver', () => {
  it('keeps code and message of our own errors', () => {
    expect(toErrorBody(new SfuError('conflict', 'the link was connected before'))).toEqual({
      code: 'conflict',
      message: 'the link was connected before',
    });
  });

  const codes: readonly (readonly [string, unknown, string])[] = [
    ['a worker that has ended', new errors.WorkerClosedError('Channel closed'), 'worker-lost'],
    ['something that mediasoup no longer has', new errors.NotFoundError('gone'), 'not-found'],
    ['what mediasoup does not support', new errors.UnsupportedError('no such codec'), 'unsupported'],
    ['arguments that do not fit together', new TypeError('missing codecs'), 'bad-request'],
    ['an SSRC in use', new Error('ssrc already exists in RTP listener [ssrc:1]'), 'conflict'],
    ['an id in use', new Error('the id is already in use'), 'conflict'],
    ['no port left', new Error('no more available ports [transport:udp]'), 'exhausted'],
    ['any other refusal of the worker', new Error('something else'), 'internal'],
    ['what is thrown and no error', 'a text', 'internal'],
  ];
  for (const [what, error, code] of codes) {
    it(`has the code ${code} for ${what}`, () => {
      expect(toErrorBody(error).code as string).toBe(code);
    });
  }

  it('takes a message about something else for no conflict and no lack of ports', () => {
    expect(toErrorBody(new Error('it was already existing')).code).toBe('internal');
    expect(toErrorBody(new Error('there are no more available ports')).code).toBe('internal');
  });

  it('names the places of a malformed request and none of its values', () => {
    const schema = z.object({ probeKey: z.string().max(3), srtp: z.object({ keyBase64: z.string().max(3) }) });
    const { error } = schema.safeParse({ probeKey: 'hunter2', srtp: { keyBase64: 'hunter3' } });
    expect(toErrorBody(error)).toEqual({ code: 'bad-request', message: 'malformed: probeKey, srtp.keyBase64' });
  });

  it('names the root of a request that is no object', () => {
    const { error } = z.object({}).safeParse('hunter2');
    expect(toErrorBody(error).message).toBe('malformed: (root)');
  });

  it('is never longer than the protocol allows', () => {
    const body = toErrorBody(new Error('x'.repeat(5000)));
    expect(body.message.length).toBe(1024);
    expect(sfuErrorSchema.parse(body)).toEqual(body);
  });

  it('has a message also for what is no error', () => {
    for (const thrown of [undefined, null, 7, {}, 'hunter2']) {
      expect(toErrorBody(thrown)).toEqual({ code: 'internal', message: 'unknown failure' });
    }
  });
});
