import { Base64Error, decodeBase64, encodeBase64, encodeBase64Url } from '../../federation/base64.ts';

describe('unpadded base64', () => {
  it('writes the table of the specification and reads it back', () => {
    const table = { '': '', f: 'Zg', fo: 'Zm8', foo: 'Zm9v', foob: 'Zm9vYg', fooba: 'Zm9vYmE', foobar: 'Zm9vYmFy' };
    for (const [text, encoded] of Object.entries(table)) {
      expect(encodeBase64(Buffer.from(text))).toBe(encoded);
      expect(decodeBase64(encoded).toString()).toBe(text);
    }
  });

  it('accepts padding and both alphabets when reading', () => {
    expect(decodeBase64('Zg==').toString()).toBe('f');
    expect(decodeBase64('-_8').equals(decodeBase64('+/8'))).toBeTrue();
  });

  it('uses the URL-safe alphabet for ids only', () => {
    const bytes = Uint8Array.of(0xfb, 0xff);
    expect(encodeBase64(bytes)).toBe('+/8');
    expect(encodeBase64Url(bytes)).toBe('-_8');
  });

  it('refuses text that is not base64', () => {
    for (const text of ['Z', 'Zm9v Zg', 'Zm9v!', 'Zg===', 'Z=g=', 'Zm9vY', '\n']) {
      expect(() => decodeBase64(text))
        .withContext(text)
        .toThrowError(Base64Error);
    }
  });
});
