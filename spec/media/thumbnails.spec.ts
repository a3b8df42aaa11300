import { rm } from 'node:fs/promises';
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { authority, bytes, refusal, startServer } from './support.ts';
import type { Authority, Person, TestServer } from './support.ts';

type Format = 'png' | 'jpeg' | 'webp' | 'gif';

describe('Small pictures', () => {
  let tls: Authority;
  let luebeck: TestServer;
  let bert: Person;

  beforeAll(async () => {
    tls = await authority();
    luebeck = await startServer('luebeck.example', tls);
    bert = await luebeck.person('bert');
  });

  afterAll(async () => {
    await luebeck.close();
    await rm(tls.folder, { recursive: true });
  });

  const plain = (width: number, height: number, format: Format): Promise<Buffer> =>
    sharp({ create: { width, height, channels: 3, background: 'teal' } })
      .toFormat(format)
      .toBuffer();

  async function small(media: string, query: string): Promise<unknown[]> {
    const answer = await bert.ask('GET', `/client/v1/media/thumbnail/${media}?${query}`);
    expect(answer.status).toBe(200);
    const { width, height, pages } = await sharp(await bytes(answer), { pages: -1 }).metadata();
    return [answer.headers.get('content-type'), width, height, ...(pages === undefined ? [] : [pages])];
  }

  it('have the next larger usual size, are cropped or scaled, and never enlarged', async () => {
    const media = await bert.upload(await plain(1000, 500, 'png'), 'image/png');
    const cases: [string, number, number][] = [
      ['width=32&height=32&method=scale', 32, 16],
      ['width=32&height=32&method=crop', 32, 32],
      ['width=20&height=50&method=crop', 96, 96],
      ['width=320&height=240', 320, 160],
      ['width=321&height=1&method=scale', 640, 320],
      ['width=9999&height=9999&method=scale', 800, 400],
    ];
    for (const [query, width, height] of cases) expect(await small(media, query)).toEqual(['image/png', width, height]);
    const tiny = await bert.upload(await plain(10, 8, 'png'));
    expect(await small(tiny, 'width=96&height=96&method=scale')).toEqual(['image/png', 10, 8]);
    for (const query of ['', 'width=1', 'width=a&height=1', 'width=0&height=1', 'width=1&height=1&method=zoom']) {
      const { status } = await bert.ask('GET', `/client/v1/media/thumbnail/${media}?${query}`);
      expect(status).toBe(400);
    }
  });

  it('are made of every usual format, whatever its type is said to be, and carry nothing but the picture', async () => {
    const cases: [Format, string][] = [
      ['png', 'image/png'],
      ['jpeg', 'image/jpeg'],
      ['webp', 'image/jpeg'],
      ['gif', 'image/png'],
    ];
    for (const [format, contentType] of cases) {
      const media = await bert.upload(await plain(200, 100, format), 'text/plain');
      expect((await small(media, 'width=32&height=32')).slice(0, 3)).toEqual([contentType, 32, 16]);
    }
    const place = { exif: { IFD0: { ImageDescription: 'secret place' } } };
    const photo = sharp({ create: { width: 200, height: 100, channels: 3, background: 'red' } });
    const turned = await photo
      .withMetadata({ orientation: 6, ...place })
      .jpeg()
      .toBuffer();
    expect(turned.includes('secret place')).toBe(true);
    const media = await bert.upload(turned, 'image/jpeg');
    expect(await small(media, 'width=96&height=96&method=scale')).toEqual(['image/jpeg', 48, 96]);
    const answer = await bert.ask('GET', `/client/v1/media/thumbnail/${media}?width=96&height=96`);
    expect((await bytes(answer)).includes('secret place')).toBe(false);
    expect(answer.headers.get('content-disposition')).toBe('inline; filename=thumbnail.jpeg');
  });

  it('move only when that is asked for', async () => {
    const frames = await Promise.all(
      ['red', 'green', 'blue'].map((background) =>
        sharp({ create: { width: 100, height: 100, channels: 3, background } })
          .png()
          .toBuffer(),
      ),
    );
    const moving = await sharp(frames, { join: { animated: true } })
      .gif()
      .toBuffer();
    const media = await bert.upload(moving, 'image/gif');
    expect(await small(media, 'width=32&height=32&animated=true')).toEqual(['image/webp', 32, 96, 3]);
    expect((await small(media, 'width=32&height=32')).slice(0, 3)).toEqual(['image/png', 32, 32]);
    const still = await bert.upload(await plain(100, 100, 'png'));
    expect(await small(still, 'width=32&height=32&animated=true')).toEqual(['image/png', 32, 32]);
  });

  it('are made once, however many want them, and go with the large one', async () => {
    const before = (await luebeck.files()).blobs;
    const media = await bert.upload(await plain(123, 456, 'png'));
    const path = `/client/v1/media/thumbnail/${media}?width=32&height=32`;
    const all = await Promise.all([1, 2, 3, 4].map(() => bert.ask('GET', path)));
    const [first, ...others] = await Promise.all(all.map(bytes));
    for (const other of others) expect(other).toEqual(first ?? Buffer.alloc(0));
    expect((await luebeck.files()).blobs).toBe(before + 2);
    const [server = '', mediaId = ''] = media.split('/');
    await luebeck.media.store.remove(server, mediaId);
    await luebeck.media.cleanUp();
    expect((await luebeck.files()).blobs).toBe(before);
  });

  it('are not made of what is no picture, is damaged, or is a picture only for some', async () => {
    const png = await plain(300, 300, 'png');
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="10" height="10"><rect width="9" height="9"/></svg>';
    const cases = [
      Buffer.from('text'),
      Buffer.alloc(0),
      Buffer.from(svg),
      png.subarray(0, 60),
      Buffer.from('%PDF-1.4 x'),
    ];
    for (const content of cases) {
      const media = await bert.upload(content, 'image/png');
      const path = `/client/v1/media/thumbnail/${media}?width=32&height=32`;
      expect(await refusal(bert.ask('GET', path))).toEqual([400, 'M_UNKNOWN']);
    }
  });

  it('are not made of few bytes that become very many pixels', async () => {
    const media = await bert.upload(bomb(30_000, 30_000), 'image/png');
    const path = `/client/v1/media/thumbnail/${media}?width=32&height=32`;
    expect(await refusal(bert.ask('GET', path))).toEqual([413, 'M_TOO_LARGE']);
  });
});

/** A PNG of one colour: about a thousandth of its pixels in bytes. */
function bomb(width: number, height: number): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([1, 0], 8);
  const lines = deflateSync(Buffer.alloc((Math.ceil(width / 8) + 1) * height));
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([signature, chunk('IHDR', header), chunk('IDAT', lines), chunk('IEND', Buffer.alloc(0))]);
}

function chunk(type: string, data: Buffer): Buffer {
  const content = Buffer.concat([Buffer.from(type), data]);
  const whole = Buffer.alloc(content.length + 8);
  whole.writeUInt32BE(data.length, 0);
  whole.set(content, 4);
  whole.writeUInt32BE(crc32(content), content.length + 4);
  return whole;
}
