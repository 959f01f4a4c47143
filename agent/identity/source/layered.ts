import { BundleSet } from '../bundle/bundle-set.ts'
import type { BundleLayer } from './bundle-layer.ts'
import type { IdentitySource, IdentityState } from './source.ts'
import { Subscribers } from './subscribers.ts'

/**
 * A source with bundles of other trust domains laid beside its own. What the source says of a trust domain goes first,
 * then the layers in their order. Of our own trust domains only the source speaks, so that nobody from outside can replace the
 * bundle that our identity stands on. Owns the source and the layers.
 */
export function layBundles(base: IdentitySource, layers: readonly BundleLayer[]): IdentitySource {
  if (layers.length === 0) return base
  const set = new BundleSet(1 + layers.length)
  const subscribers = new Subscribers<IdentityState>()
  /** Also where they are taken back: that makes nobody else their master. */
  const own = new Set<string>()
  let from: IdentityState | undefined
  let state: IdentityState | undefined

  const merge = () => {
    if (from === undefined) return
    for (const { id } of from.svids) own.add(id.trustDomain)
    let hasChanged = set.replace(0, from.bundles)
    for (const [index, layer] of layers.entries()) {
      const foreign = new Map([...layer.current()].filter(([name]) => !own.has(name)))
      hasChanged = set.replace(index + 1, foreign) || hasChanged
    }
    if (!hasChanged && from.svids === state?.svids) return
    state = { ...set.merged, svids: from.svids }
    subscribers.tell(state)
  }

  const owned = new AsyncDisposableStack()
  owned.use(base)
  for (const layer of layers) {
    owned.use(layer)
    owned.use(layer.subscribe(merge))
  }
  owned.use(
    base.subscribe((next) => {
      from = next
      merge()
    }),
  )
  return {
    current: () => state,
    subscribe: (listener) => subscribers.add(listener, state),
    problem: () => {
      const all = [base, ...layers].map((each) => each.problem()).concat(set.problem)
      const said = all.filter((each) => each !== undefined)
      return said.length === 0 ? undefined : said.join('; ')
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
