import { BundleSet } from '../bundle/bundle-set.ts'
import type { BundleLayer } from './bundle-layer.ts'
import type { IdentitySource, IdentityState } from './source.ts'
import { Subscribers } from './subscribers.ts'

/**
 * A source with bundles of other trust domains laid beside its own. What the source says of a trust domain goes first,
 * then the layers in their order: nobody from outside can replace the bundle that our own identity stands on. Owns the
 * source and the layers.
 */
export function layBundles(base: IdentitySource, layers: readonly BundleLayer[]): IdentitySource {
  if (layers.length === 0) return base
  const set = new BundleSet(1 + layers.length)
  const subscribers = new Subscribers<IdentityState>()
  let from: IdentityState | undefined
  let state: IdentityState | undefined

  const merge = (hasChanged: boolean) => {
    const hasNewSvids = from !== undefined && from.svids !== state?.svids
    if (from === undefined || !(hasChanged || hasNewSvids)) return
    state = { ...set.merged, svids: from.svids }
    subscribers.tell(state)
  }

  const owned = new AsyncDisposableStack()
  owned.use(base)
  for (const [index, layer] of layers.entries()) {
    owned.use(layer)
    set.replace(index + 1, layer.current())
    owned.use(layer.subscribe(() => merge(set.replace(index + 1, layer.current()))))
  }
  owned.use(
    base.subscribe((next) => {
      from = next
      merge(set.replace(0, next.bundles))
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
