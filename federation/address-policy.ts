import { BlockList, isIP } from 'node:net';

// Ranges in which there is no public server. @see IANA special-purpose address registries for IPv4 and IPv6
const NOT_PUBLIC = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '::/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  'fc00::/7',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
];

/**
 * Which addresses we connect to for others. Server names come from anybody; without this check, anybody could make us
 * send requests into our own network.
 */
export class AddressPolicy {
  readonly #refused = listOf(NOT_PUBLIC);
  readonly #allowed: BlockList;

  /**
   * @param allowedRanges CIDR ranges, for example `127.0.0.0/8`, that are allowed although they are not public
   * @throws TypeError when one is malformed
   */
  constructor(allowedRanges: readonly string[] = []) {
    this.#allowed = listOf(allowedRanges);
  }

  /** Whether we may connect to this IP address. IPv4-mapped IPv6 addresses are treated as IPv4 addresses. */
  allows(address: string): boolean {
    const version = isIP(address);
    // A scope such as %eth0 only makes sense for addresses that are local to a link.
    if (version === 0 || address.includes('%')) return false;
    const family = version === 4 ? 'ipv4' : 'ipv6';
    return !this.#refused.check(address, family) || this.#allowed.check(address, family);
  }
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const match = /^([0-9A-Fa-f.:]+)\/([0-9]{1,3})$/.exec(range);
    const [network = '', prefix = ''] = match?.slice(1) ?? [];
    const version = isIP(network);
    if (version === 0 || Number(prefix) > (version === 4 ? 32 : 128)) {
      throw new TypeError(`${range} is not an address range in CIDR notation, such as 10.0.0.0/8.`);
    }
    list.addSubnet(network, Number(prefix), version === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
