/** The address that a peer's discovery document names. */
import { lookup } from 'node:dns/promises';
import { BlockList, SocketAddress, isIP } from 'node:net';
import { SfuError } from './errors.ts';

/** Never the address of one machine: nothing, many, or all. */
const impossible = new BlockList();
impossible.addSubnet('0.0.0.0', 8, 'ipv4');
impossible.addSubnet('224.0.0.0', 3, 'ipv4');
impossible.addAddress('::', 'ipv6');
impossible.addSubnet('ff00::', 8, 'ipv6');

/**
 * The one IP address that probes and then media go to: looked up once, so that a name can not point elsewhere after
 * the probe.
 * @throws SfuError bad-request
 */
export async function resolvePeer(address: string): Promise<string> {
  const found = isIP(address) === 0 ? await lookup(address).catch(() => undefined) : { address };
  if (!found) throw new SfuError('bad-request', 'the address of the peer can not be resolved');
  const family = isIP(found.address) === 6 ? 'ipv6' : 'ipv4';
  if (impossible.check(found.address, family)) {
    throw new SfuError('bad-request', 'the address of the peer is not one of a single machine');
  }
  return new SocketAddress({ address: found.address, family }).address;
}
