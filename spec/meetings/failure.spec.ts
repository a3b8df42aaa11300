/** What a client is told when a request of its session fails, by where the error comes from. */
import * as z from 'zod';
import { IdentifierError } from '../../federation/identifiers.ts';
import { MatrixError } from '../../homeserver/base/errors.ts';
import { SeatError } from '../../homeserver/meetings/conference/seat-turns.ts';
import { ProtocolFailure, protocolError } from '../../homeserver/meetings/session/failure.ts';
import type { ErrorCode } from '../../protocol/session.ts';
import { SfuError, type SfuErrorCode } from '../../sfu/errors.ts';

const named = (server: string): string => `City of ${server}`;
const told = (error: unknown): ReturnType<typeof protocolError> => protocolError(error, named);

describe('A request of a session that fails', () => {
  it('has the code of the refusal where the refusal has one', () => {
    expect(told(new ProtocolFailure('not-found', 'No such meeting.'))).toEqual({
      code: 'not-found',
      message: 'No such meeting.',
      reference: jasmine.stringMatching(/^[0-9a-f]{8}$/) as unknown as string,
    });
    expect(told(new SeatError('not-in-conference', 'Join the conference first.'))).toEqual(
      jasmine.objectContaining({ code: 'not-in-conference' as ErrorCode, message: 'Join the conference first.' }),
    );
    expect(told(new SeatError('too-many-requests', 'Too much at once.')).code).toBe('too-many-requests');
  });

  it('names the organisation that it is about, by its server and as people know it', () => {
    const failure = new ProtocolFailure('organisation-unreachable', 'It does not answer.', 'hamburg.example');
    expect(told(failure)).toEqual(
      jasmine.objectContaining({
        code: 'organisation-unreachable' as ErrorCode,
        organisation: 'hamburg.example',
        organisationName: 'City of hamburg.example',
      }),
    );
    const answer = new MatrixError(502, 'M_UNKNOWN', 'It does not answer.', { organisation: 'bremen.example' });
    expect(told(answer).organisationName).toBe('City of bremen.example');
    expect(Object.keys(told(new ProtocolFailure('forbidden', 'No.'))).sort()).toEqual(['code', 'message', 'reference']);
  });

  it('is told by the kind of refusal that HTTP has a status for', () => {
    const codes: readonly (readonly [number, ErrorCode])[] = [
      [400, 'bad-request'],
      [401, 'unauthorised'],
      [403, 'forbidden'],
      [404, 'not-found'],
      [409, 'bad-request'],
      [413, 'too-large'],
      [429, 'too-many-requests'],
      [500, 'internal'],
      [502, 'organisation-unreachable'],
      [503, 'internal'],
      [504, 'organisation-unreachable'],
    ];
    for (const [status, code] of codes) {
      expect(told(new MatrixError(status, 'M_UNKNOWN', 'x')).code)
        .withContext(String(status))
        .toBe(code);
    }
  });

  it('says when to try again, in whole milliseconds', () => {
    const error = new MatrixError(429, 'M_LIMIT_EXCEEDED', 'Please wait.', { retry_after_ms: 1_200.3 });
    expect(told(error)).toEqual(
      jasmine.objectContaining({ code: 'too-many-requests' as ErrorCode, retryAfterMs: 1_201 }),
    );
  });

  it('leaves out details that are of another kind than they should be', () => {
    const error = new MatrixError(429, 'M_LIMIT_EXCEEDED', 'x', { retry_after_ms: 'soon', organisation: 7 });
    expect(Object.keys(told(error)).sort()).toEqual(['code', 'message', 'reference']);
  });

  it('tells of the media server what the client can do something about', () => {
    const codes: Readonly<Record<SfuErrorCode, ErrorCode>> = {
      'worker-lost': 'sfu-unavailable',
      exhausted: 'sfu-unavailable',
      'not-found': 'not-found',
      conflict: 'conflict',
      'bad-request': 'bad-request',
      unsupported: 'bad-request',
      internal: 'internal',
    };
    for (const [code, expected] of Object.entries(codes)) {
      expect(told(new SfuError(code as SfuErrorCode, 'x')).code)
        .withContext(code)
        .toBe(expected);
    }
  });

  it('says which field of a malformed request is wrong, and what with it', () => {
    const schema = z.object({ watch: z.array(z.object({ height: z.number() })) });
    const { error } = schema.safeParse({ watch: [{ height: 'tall' }] });
    const answer = told(error);
    expect(answer.code).toBe('bad-request');
    expect(answer.message).toContain('watch.0.height');
    expect(answer.message).toContain('expected number');
  });

  it('is malformed, and no fault of ours, when an identifier in it is none', () => {
    expect(told(new IdentifierError('This is no user id.'))).toEqual(
      jasmine.objectContaining({ code: 'bad-request' as ErrorCode, message: 'This is no user id.' }),
    );
    expect(told(new URIError('URI malformed')).message).toBe('The URL is malformed.');
  });

  it('shows nothing of an error that nobody expected, only a reference, and each time another one', () => {
    const secret = new Error('password of postgres://hansetag:hunter2@db');
    const first = told(secret);
    expect(first).toEqual(jasmine.objectContaining({ code: 'internal' as ErrorCode, message: 'Internal error.' }));
    expect(JSON.stringify(first)).not.toContain('hunter2');
    expect(told(secret).reference).not.toBe(first.reference);
    expect(told(new SfuError('internal', 'of the worker')).message).toBe('Internal error.');
    expect(told(new MatrixError(500, 'M_UNKNOWN', 'of the database')).message).toBe('Internal error.');
  });

  it('is an internal one also when what was thrown is no error at all', () => {
    for (const thrown of ['text', undefined, null, 7, { code: 'forbidden', message: 'x' }]) {
      expect(told(thrown))
        .withContext(String(thrown))
        .toEqual(jasmine.objectContaining({ code: 'internal' as ErrorCode, message: 'Internal error.' }));
    }
  });
});
