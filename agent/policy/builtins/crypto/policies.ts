import type { Certificate } from './certificate.ts'

/** A policy that is valid at one depth, and what it may be called one deeper. */
interface Node {
  readonly policy: string
  expected: readonly string[]
  readonly parents: Set<Node>
  readonly children: Set<Node>
}

type Stratum = Map<string, Node>

const anyPolicy = Buffer.from([0x55, 0x1d, 0x20, 0]).toString('latin1')

/** More policies in a chain than this were put there to be slow; Go would take its time. */
const maxPolicies = 2000

/**
 * Whether a chain, leaf first, is valid under the certificate policies its certificates name, where the caller asks for
 * none: only a certificate that requires an explicit policy, or a mapping from or to any policy, can make it invalid.
 *
 * @see RFC 5280, 6.1; RFC 9618, 5, which puts a graph in place of the tree that could grow without end
 */
export function arePoliciesValid(chain: readonly Certificate[]): boolean {
  const last = chain.length - 1
  if (last === 0) return true
  const named = chain.reduce(
    (sum, { said }) => sum + (said.policies?.length ?? 0) + said.policyMappings.length,
    0,
  )
  if (named > maxPolicies) return false
  let graph: Stratum[] | undefined = [new Map([[anyPolicy, node(anyPolicy, [])]])]
  let [inhibitAny, explicit, mapping] = [last + 1, last + 1, last + 1]
  for (let index = last - 1; index >= 0; index--) {
    const certificate = chain[index] as Certificate
    const isSelfIssued = certificate.rawIssuer.equals(certificate.rawSubject)
    if ((certificate.said.policies?.length ?? 0) === 0) graph = undefined
    if (explicit === 0 && graph === undefined) return false
    if (graph !== undefined) {
      const mayBeAny = inhibitAny > 0 || (index > 0 && isSelfIssued)
      deepen(graph, (certificate.said.policies ?? []).map(key), mayBeAny)
      if (index > 0 && !applyMappings(graph, certificate, mapping > 0)) return false
    }
    if (index === 0) break
    if (!isSelfIssued) [inhibitAny, explicit, mapping] = [less(inhibitAny), less(explicit), less(mapping)]
    const { requireExplicitPolicy, inhibitPolicyMapping, inhibitAnyPolicy } = certificate.said
    explicit = narrowed(explicit, requireExplicitPolicy.value, requireExplicitPolicy.isSet)
    mapping = narrowed(mapping, inhibitPolicyMapping.value, inhibitPolicyMapping.isSet)
    inhibitAny = narrowed(inhibitAny, inhibitAnyPolicy.value, inhibitAnyPolicy.isSet)
  }
  explicit = less(explicit)
  const own = (chain[0] as Certificate).said.requireExplicitPolicy
  if (own.isSet && own.value === 0n) explicit = 0
  return explicit > 0 || (graph !== undefined && hasValidPolicy(graph))
}

const key = (policy: Buffer) => policy.toString('latin1')
const less = (count: number) => Math.max(0, count - 1)

/** A negative count, which no certificate should have, limits nothing. */
function narrowed(count: number, value: bigint, isSet: boolean): number {
  return isSet && value >= 0n && value < BigInt(count) ? Number(value) : count
}

function node(policy: string, parents: readonly Node[]): Node {
  const made: Node = { policy, expected: [policy], parents: new Set(parents), children: new Set() }
  for (const parent of parents) parent.children.add(made)
  return made
}

/** RFC 9618, 5.3 (d): what of a certificate's policies the one above allows. */
function deepen(graph: Stratum[], policies: readonly string[], mayBeAny: boolean): void {
  const above = graph.at(-1) as Stratum
  const expecting = new Map<string, Node[]>()
  for (const each of above.values())
    for (const expected of each.expected) expecting.set(expected, [...(expecting.get(expected) ?? []), each])
  const stratum: Stratum = new Map()
  const any = above.get(anyPolicy)
  for (const policy of policies) {
    if (policy === anyPolicy) continue
    const parents = expecting.get(policy) ?? (any === undefined ? [] : [any])
    if (parents.length > 0) stratum.set(policy, node(policy, parents))
  }
  if (policies.includes(anyPolicy) && mayBeAny) {
    for (const [expected, parents] of expecting)
      if (!stratum.has(expected)) stratum.set(expected, node(expected, parents))
  }
  graph.push(stratum)
  prune(graph)
}

/** RFC 9618, 5.4 (b). False for a mapping from or to any policy. */
function applyMappings(graph: Stratum[], { said }: Certificate, isAllowed: boolean): boolean {
  if (said.policyMappings.length === 0) return true
  const leaves = graph.at(-1) as Stratum
  const mappings = new Map<string, string[]>()
  for (const { issuer, subject } of said.policyMappings) {
    const [from, to] = [key(issuer), key(subject)]
    if (!isAllowed) remove(leaves, from)
    else if (from === anyPolicy || to === anyPolicy) return false
    else mappings.set(from, [...(mappings.get(from) ?? []), to])
  }
  prune(graph)
  for (const [from, to] of mappings) {
    const any = leaves.get(anyPolicy)
    const mapped = leaves.get(from) ?? (any === undefined ? undefined : node(from, [any]))
    if (mapped === undefined) continue
    mapped.expected = to
    leaves.set(from, mapped)
  }
  return true
}

function remove(stratum: Stratum, policy: string): void {
  const removed = stratum.get(policy)
  if (removed === undefined) return
  for (const parent of removed.parents) parent.children.delete(removed)
  stratum.delete(policy)
}

/** Takes away what leads to no leaf; the root stays. */
function prune(graph: Stratum[]): void {
  for (let depth = graph.length - 2; depth > 0; depth--) {
    const stratum = graph[depth] as Stratum
    for (const [policy, each] of stratum) if (each.children.size === 0) remove(stratum, policy)
  }
}

/** RFC 9618, 5.5 (g): a policy that stands on any policy alone, or any policy to the end. */
function hasValidPolicy(graph: readonly Stratum[]): boolean {
  if (graph.at(-1)?.has(anyPolicy)) return true
  return graph.some((stratum) =>
    [...stratum.values()].some(
      ({ policy, parents: [first, ...others] }) =>
        policy !== anyPolicy && first?.policy === anyPolicy && others.length === 0,
    ),
  )
}
