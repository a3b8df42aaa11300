/** An identity provider that lies: what it answers when somebody logs in by it. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Random } from '../../../soak/random.ts';
import { CLIENT_ID, CLIENT_SECRET } from '../../../accounts/identity-provider.ts';
import type { Answered, Face } from '../face.ts';
import { answerHostilely } from '../hostile-answers.ts';
import { Sender } from '../http.ts';
import type { Reply } from '../http.ts';
import { jsonText, mutate, mutateText } from '../mutate.ts';
import type { Target } from '../target-process.ts';
import type { Targets } from '../targets.ts';

interface LogInInput {
  /** Claims of the ID token as text, in which `{{nonce}}` and the like stand for what they should be. */
  readonly claims: string;
  readonly header: string;
  /** What the token endpoint says beside the ID token. */
  readonly tokens: string;
  readonly userInfo: string;
  /** Query of the way back, after code and state. */
  readonly query: string;
  /** Which answers are broken altogether. */
  readonly broken: readonly ('discovery' | 'token' | 'jwks' | 'userinfo')[];
  readonly redirectUrl: string;
  readonly seed: number;
}

const CLAIMS = {
  iss: '{{issuer}}',
  sub: 'somebody-{{number}}',
  aud: CLIENT_ID,
  nonce: '{{nonce}}',
  iat: '{{now}}',
  exp: '{{later}}',
  preferred_username: 'somebody.{{number}}',
  name: 'Some Body',
};
/** What may stand in the ID token or be asked for apart. */
const MORE_CLAIMS = {
  email: 'somebody@example.org',
  email_verified: true,
  picture: 'https://example.org/somebody.png',
  locale: 'de',
  x_grp: ['council'],
  phone_number: '+49 40 123456',
  tenant_id: 'altona',
  tariff_id: 'small',
  roles: ['hansetag-admin'],
};
const TOKENS = { access_token: 'x', token_type: 'Bearer', expires_in: 300, scope: 'openid profile' };
/** So often the provider can not be found first: what was found is kept. */
const FAILED_DISCOVERIES = 40;

class Provider {
  readonly issuer: string;
  readonly #keys = generateKeyPairSync('rsa', { modulusLength: 2048 });
  readonly #inputs = new Map<string, { input: LogInInput; nonce: string }>();
  #discoveriesToFail = FAILED_DISCOVERIES;
  #current: LogInInput | undefined;
  /** The code of the log-in that got a token last. */
  #code = '';
  readonly close: () => Promise<void>;

  private constructor(issuer: string, close: () => Promise<void>) {
    this.issuer = issuer;
    this.close = close;
  }

  static async start(): Promise<Provider> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    let closing: Promise<void> | undefined;
    const provider = new Provider(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}`, () => {
      server.closeAllConnections();
      return (closing ??= new Promise((resolve) => server.close(() => resolve())));
    });
    server.on('request', (request, response) => provider.#answer(request, response));
    return provider;
  }

  expect(code: string, input: LogInInput, nonce: string): void {
    this.#inputs.set(code, { input, nonce });
  }

  begins(input: LogInInput): void {
    this.#current = input;
  }

  forget(code: string): void {
    this.#inputs.delete(code);
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '';
    let body = '';
    request.on('error', () => undefined);
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      if (path.startsWith('/.well-known')) this.#discovery(response);
      else if (path.startsWith('/token')) this.#token(new URLSearchParams(body).get('code') ?? '', response);
      else if (path.startsWith('/jwks')) this.#give('jwks', JSON.stringify({ keys: [this.#jwk()] }), response);
      else this.#give('userinfo', (this.#current?.userInfo ?? '{}').replaceAll('{{number}}', this.#code), response);
    });
  }

  #discovery(response: ServerResponse): void {
    const document = {
      issuer: this.issuer,
      authorization_endpoint: `${this.issuer}/auth`,
      token_endpoint: `${this.issuer}/token`,
      jwks_uri: `${this.issuer}/jwks`,
      userinfo_endpoint: `${this.issuer}/userinfo`,
      response_types_supported: ['code'],
      subject_types_supported: ['public'],
      id_token_signing_alg_values_supported: ['RS256'],
    };
    this.#discoveriesToFail -= 1;
    if (this.#discoveriesToFail < 0) {
      response.writeHead(200, { 'Content-Type': 'application/json' }).end(JSON.stringify(document));
      return;
    }
    // Of another issuer, so that nothing bad is kept.
    const wrong = Buffer.from(JSON.stringify({ ...document, issuer: 'https://other.example' }));
    const random = new Random(this.#current?.seed ?? 0, 'discovery');
    answerHostilely(random, response, { status: 200, type: 'application/json', body: wrong });
  }

  #token(code: string, response: ServerResponse): void {
    const found = this.#inputs.get(code);
    if (!found) {
      response.writeHead(400, { 'Content-Type': 'application/json' }).end('{"error":"invalid_grant"}');
      return;
    }
    const { input, nonce } = found;
    const now = Math.floor(Date.now() / 1000);
    const claims = input.claims
      .replaceAll('{{issuer}}', this.issuer)
      .replaceAll('{{nonce}}', nonce)
      .replaceAll('{{number}}', code)
      .replaceAll('"{{now}}"', String(now))
      .replaceAll('"{{later}}"', String(now + 300));
    const signed = [input.header, claims].map((part) => Buffer.from(part).toString('base64url')).join('.');
    const signature = sign('sha256', Buffer.from(signed), this.#keys.privateKey).toString('base64url');
    const tokens = input.tokens.replace(/^\{/, `{"id_token":"${signed}.${signature}",`);
    this.#current = input;
    this.#code = code;
    this.#give('token', tokens, response);
  }

  #give(what: LogInInput['broken'][number], text: string, response: ServerResponse): void {
    const input = this.#current;
    if (input?.broken.includes(what) === true) {
      const good = { status: 200, type: 'application/json', body: Buffer.from(text) };
      answerHostilely(new Random(input.seed, what), response, good);
    } else response.writeHead(200, { 'Content-Type': 'application/json' }).end(text);
  }

  #jwk(): object {
    const jwk = this.#keys.publicKey.export({ format: 'jwk' });
    const kid = createHash('sha256').update(JSON.stringify(jwk)).digest('base64url');
    return { ...jwk, alg: 'RS256', use: 'sig', kid };
  }
}

function logInInput(random: Random): LogInInput {
  const often = random.chance(0.3);
  const sometimes = (value: unknown): string => jsonText(often || random.chance(0.5) ? value : mutate(random, value));
  const names = ['token', 'jwks', 'userinfo', 'discovery'] as const;
  return {
    // Names may stand elsewhere.
    claims: sometimes({
      ...CLAIMS,
      ...(random.chance(0.3) ? { name: undefined, preferred_username: undefined } : {}),
      ...(random.chance(0.5) ? MORE_CLAIMS : {}),
    }),
    header: random.chance(0.9) ? '{"alg":"RS256","typ":"JWT"}' : sometimes({ alg: 'none', kid: 'x' }),
    tokens: sometimes(TOKENS),
    userInfo: sometimes({
      sub: CLAIMS.sub,
      preferred_username: 'somebody',
      name: 'Some Body',
      ...(random.chance(0.5) ? MORE_CLAIMS : {}),
    }),
    query: random.chance(0.8) ? '' : mutateText(random, '&iss=x&error=access_denied'),
    broken: names.filter(() => random.chance(0.06)),
    redirectUrl: random.chance(0.9) ? 'https://app.example/' : mutateText(random, 'https://app.example/'),
    seed: random.whole(0, 2 ** 31),
  };
}

/** With a target of its own, which knows this provider. */
export async function openIdp(targets: Targets): Promise<{ target: Target; face: Face<LogInInput> }> {
  const provider = await Provider.start();
  let target: Target;
  try {
    target = await targets.own('homeserver', {
      HANSETAG_OIDC_ISSUER: provider.issuer,
      HANSETAG_OIDC_CLIENT_ID: CLIENT_ID,
      HANSETAG_OIDC_CLIENT_SECRET: CLIENT_SECRET,
    });
  } catch (error) {
    await provider.close();
    throw error;
  }
  const { hostname, port } = new URL(target.homeserver.url);
  const sender = new Sender({ host: hostname, port: Number(port) });
  let logIns = 0;
  const get = (path: string, cookie = ''): Promise<Answered & Partial<Reply>> =>
    sender.send({ method: 'GET', path, headers: { Cookie: cookie }, delivery: 'whole' });
  const face: Face<LogInInput> = {
    make: logInInput,
    send: async (input) => {
      provider.begins(input);
      const to = encodeURIComponent(input.redirectUrl.toWellFormed());
      const begun = await get(`/_matrix/client/v3/login/sso/redirect?redirectUrl=${to}`);
      const { location, 'set-cookie': cookies = [] } = begun.headers ?? {};
      if (typeof location !== 'string' || !location.startsWith(provider.issuer)) return begun;
      const asked = new URL(location).searchParams;
      const code = `c${String((logIns += 1))}`;
      provider.expect(code, input, asked.get('nonce') ?? '');
      const cookie = [cookies]
        .flat()
        .map((line) => line.split(';')[0] ?? '')
        .join('; ');
      const back = new URLSearchParams({ code, state: asked.get('state') ?? '' }).toString();
      const callback = new URL(asked.get('redirect_uri') ?? '').pathname;
      const done = await get(`${callback}?${back}${encodeURI(input.query.toWellFormed())}`, cookie);
      provider.forget(code);
      return done;
    },
    mend: () => Promise.resolve(),
    close: () => {
      sender.close();
      return provider.close();
    },
  };
  return { target, face };
}
