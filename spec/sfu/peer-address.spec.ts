import { isIP } from 'node:net';
import { SfuError } from '../../sfu/errors.ts';
import { resolvePeer } from '../../sfu/peer-address.ts';

describe('the media address of a peer', () => {
  /** @returns the code of the SfuError with which it is refused */
  async function refusal(address: string): Promise<string | undefined> {
    try {
      return `taken: ${await resolvePeer(address)}`;
    } catch (error) {
      if (error instanceof SfuError) return error.code;
      throw error;
    }
  }

  it('is taken as it is when it is the IP address of a machine', async () => {
    for (const address of ['192.0.2.1', '10.0.0.1', '127.0.0.3', '2001:db8::1', 'fe80::1']) {
      expect(await resolvePeer(address)).toBe(address);
    }
  });

  it('has one spelling, the one in which answers name it', async () => {
    expect(await resolvePeer('2001:DB8:0:0:0:0:0:1')).toBe('2001:db8::1');
  });

  it('is that of a name, looked up once', async () => {
    expect(isIP(await resolvePeer('localhost'))).not.toBe(0);
  });

  for (const address of ['0.0.0.0', '0.1.2.3', '224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255']) {
    it(`is not ${address}, which is no single machine`, async () => {
      expect(await refusal(address)).toBe('bad-request');
    });
  }

  for (const address of ['::', '0:0:0:0:0:0:0:0', 'ff02::1', 'FF0E::1', '::ffff:224.0.0.1', '::ffff:0.0.0.0']) {
    it(`is not ${address} in IPv6 either`, async () => {
      expect(await refusal(address)).toBe('bad-request');
    });
  }

  for (const address of ['0xe0000001', '3758096385', '0']) {
    it(`is not ${address}, which is looked up as an address that is no single machine`, async () => {
      expect(await refusal(address)).toBe('bad-request');
    });
  }

  for (const address of ['', ' ', 'no such name', '[::1]', '127.0.0.1:4000', 'https://127.0.0.1']) {
    it(`is not "${address}", which is neither an address nor a name`, async () => {
      expect(await refusal(address)).toBe('bad-request');
    });
  }
});
