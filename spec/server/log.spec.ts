import { createLog, loggablePath } from '../../homeserver/base/log.ts';

describe('The log', () => {
  it('writes of an error nothing but type, code, message, stack and causes', () => {
    const lines: string[] = [];
    const log = createLog('info', { write: (line) => void lines.push(line) });
    const cause = Object.assign(new Error('duplicate key'), {
      code: '23505',
      detail: 'topsecret',
      parameters: ['topsecret'],
    });
    const error = Object.assign(new Error('outer', { cause }), { response: { body: 'topsecret' } });
    log.error({ err: error }, 'failed');
    expect(lines.join('')).not.toContain('topsecret');
    const written = JSON.parse(lines[0] ?? '') as { err: { message: string; cause: { code: string } } };
    expect(written.err.message).toBe('outer');
    expect(written.err.cause.code).toBe('23505');
  });

  it('leaves queries and the secrets of guest links out of paths', () => {
    expect(loggablePath('/_matrix/client/v3/sync?access_token=x')).toBe('/_matrix/client/v3/sync');
    expect(loggablePath('/_hansetag/client/v1/links/secret/join')).toBe('/_hansetag/client/v1/links/-/join');
    expect(loggablePath('/de/join/secret')).toBe('/de/join/-');
  });

  it('leaves out whatever lets who knows it act, however the path is written (L9)', () => {
    const delayed = '/_matrix/client/unstable/org.matrix.msc4140/delayed_events';
    expect(loggablePath(`${delayed}/secret`)).toBe(`${delayed}/-`);
    expect(loggablePath(`${delayed}/secret/send`)).toBe(`${delayed}/-/send`);
    expect(loggablePath('/_hansetag/client/v1/LINKS/secret/JOIN')).toBe('/_hansetag/client/v1/LINKS/-/JOIN');
    expect(loggablePath('/_matrix/client/unstable/ORG.matrix.msc4140/Delayed_Events/secret')).not.toContain('secret');
  });
});
