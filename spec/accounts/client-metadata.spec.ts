import { wrongAddress } from '../../homeserver/accounts/oauth/client-metadata.ts';

describe('The addresses of a client of the OAuth 2.0 API', () => {
  const judge = (clientUri: unknown, applicationType: string, redirectUri: unknown): boolean =>
    wrongAddress({ clientUri, applicationType, redirectUris: [redirectUri] }) === undefined;

  it('belong to one another', () => {
    for (const [clientUri, type, redirectUri] of [
      ['https://client.example/', 'web', 'https://client.example/callback?x=1'],
      ['https://client.example/', 'web', 'https://app.client.example/'],
      ['https://client.example/', 'native', 'example.client:/callback'],
      ['https://client.example/', 'native', 'example.client.app:/callback'],
      ['https://client.example/', 'native', 'http://127.0.0.1:1234/callback'],
      ['https://client.example/', 'native', 'http://[::1]/callback'],
      ['http://localhost:8080/', 'web', 'http://localhost:8080/callback'],
    ] as const) {
      expect(judge(clientUri, type, redirectUri))
        .withContext(`${clientUri} ${type} ${redirectUri}`)
        .toBeTrue();
    }
  });

  it('do not lead elsewhere', () => {
    for (const [clientUri, type, redirectUri] of [
      [undefined, 'web', 'https://client.example/'],
      ['http://client.example/', 'web', 'https://client.example/'],
      ['https://user@client.example/', 'web', 'https://client.example/'],
      ['https://client.example/', 'web', 'https://evil.example/'],
      ['https://client.example/', 'web', 'https://evilclient.example/'],
      ['https://client.example/', 'web', 'https://client.example@evil.example/'],
      ['https://client.example/', 'web', 'http://client.example/'],
      ['https://client.example/', 'web', 'http://localhost/'],
      ['https://client.example/', 'web', 'example.client:/callback'],
      ['https://client.example/', 'native', 'example.evil:/callback'],
      ['https://client.example/', 'native', 'javascript:alert(1)'],
      ['https://client.example/', 'native', 'data:text/html,x'],
      ['https://client.example/', 'native', 1],
    ] as const) {
      expect(judge(clientUri, type, redirectUri))
        .withContext(`${String(clientUri)} ${redirectUri}`)
        .toBeFalse();
    }
  });
});
