import type { Family } from '../../builtins/builtin.ts'
import { blockContains, blocksIntersect } from '../../builtins/network.ts'
import { text } from '../../builtins/operands.ts'

/** The `net.cidr_*` that a module brings with it. */
export const cidrBuiltins: Family = {
  'net.cidr_contains': (_, cidr, other) => blockContains(text(cidr), text(other)),
  'net.cidr_overlap': (_, cidr, other) => blockContains(text(cidr), text(other)),
  'net.cidr_intersects': (_, a, b) => blocksIntersect(text(a), text(b)),
}
