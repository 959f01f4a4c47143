import { BlockList, isIPv6 } from 'node:net'

/** How far an address is from us: `forbidden` ones are no servers of keys, whatever is configured. */
export type Reach = 'public' | 'private' | 'forbidden'

type Subnet = readonly [network: string, prefix: number]

/** Addresses that name no host, or the host's own services: among them what clouds hand out credentials at. */
const forbidden = blockList(
  [
    ['0.0.0.0', 8],
    ['169.254.0.0', 16],
    ['168.63.129.16', 32],
    ['224.0.0.0', 3],
  ],
  [
    ['::', 128],
    ['fe80::', 10],
    ['ff00::', 8],
    ['fd00:ec2::', 32],
  ],
)

/** @see RFC 6890 and IANA's registries of special purpose addresses */
const notPublic = blockList(
  [
    ['10.0.0.0', 8],
    ['100.64.0.0', 10],
    ['127.0.0.0', 8],
    ['172.16.0.0', 12],
    ['192.0.0.0', 24],
    ['192.0.2.0', 24],
    ['192.88.99.0', 24],
    ['192.168.0.0', 16],
    ['198.18.0.0', 15],
    ['198.51.100.0', 24],
    ['203.0.113.0', 24],
  ],
  [
    ['2001::', 23],
    ['2001:db8::', 32],
    ['2002::', 16],
    ['3fff::', 20],
  ],
)

const globalUnicast = blockList([], [['2000::', 3]])
const mapped = blockList([], [['::ffff:0:0', 96]])

/** @throws TypeError where it is no address. */
export function reachOf(address: string): Reach {
  const family = isIPv6(address) ? 'ipv6' : 'ipv4'
  if (forbidden.check(address, family)) return 'forbidden'
  if (notPublic.check(address, family)) return 'private'
  // An IPv4 address in disguise, of which the lists above have spoken; the rest is not routed.
  return family === 'ipv4' || globalUnicast.check(address, family) || mapped.check(address, family)
    ? 'public'
    : 'private'
}

function blockList(v4: readonly Subnet[], v6: readonly Subnet[]): BlockList {
  const list = new BlockList()
  for (const [network, prefix] of v4) list.addSubnet(network, prefix, 'ipv4')
  for (const [network, prefix] of v6) list.addSubnet(network, prefix, 'ipv6')
  return list
}
