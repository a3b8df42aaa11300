/** The media address in a peer's discovery document. */
import { lookup } from 'node:dns/promises';
import { BlockList, SocketAddress, isIP } from 'node:net';
import { SfuError } from './errors.ts';

/** Addresses that are never those of a single machine: unspecified, multicast, broadcast. */
const impossible = new BlockList();
impossible.addSubnet('0.0.0.0', 8, 'ipv4');
impossible.addSubnet('224.0.0.0', 3, 'ipv4');
impossible.addAddress('::', 'ipv6');
impossible.addSubnet('ff00::', 8, 'ipv6');

/**
 * Resolves the one IP address for probes and media: looked up once, so that a name cannot point elsewhere after the
 * probe.
 *
 * @throws SfuError bad-request
 */
export async function resolvePeer(address: string): Promise<string> {
  const found = isIP(address) === 0 ? await lookup(address).catch(() => undefined) : { address };
  // An empty name is looked up as no address.
  if (!found || isIP(found.address) === 0) {
    throw new SfuError('bad-request', 'the address of the peer cannot be resolved');
  }
  const family = isIP(found.address) === 6 ? 'ipv6' : 'ipv4';
  if (impossible.check(found.address, family)) {
    throw new SfuError('bad-request', 'the address of the peer is not one of a single machine');
  }
  return new SocketAddress({ address: found.address, family }).address;
}
