import type { IdentityState } from '#identity/source/source.ts'
import { svidFault, type X509Svid } from '#identity/x509/svid.ts'

/** What of a state may be handed out. */
export interface Usable {
  readonly bundles: IdentityState['bundles']
  /** The name of our own trust domain, also when our identities have been taken back. */
  readonly ownDomain: string | undefined
  readonly defaultId: string | undefined
  /** By SPIFFE ID. `undefined` where there is one that does not fit, and no earlier one that still does. */
  readonly svids: ReadonlyMap<string, X509Svid | undefined>
  /** Which identities of the state do not fit, and why. */
  readonly faults: readonly {
    readonly spiffeId: string
    readonly why: string
    readonly hasEarlier: boolean
  }[]
}

/**
 * Looks at each pair once more before Envoy gets it. In the place of one that does not fit stands the last one by that
 * name, as long as it does.
 */
export function usableOf(state: IdentityState, before: Usable | undefined, nowMs: number): Usable {
  const svids = new Map<string, X509Svid | undefined>()
  const faults: Usable['faults'][number][] = []
  const faultOf = (svid: X509Svid) =>
    svidFault(svid, { authorities: state.bundles.get(svid.id.trustDomain)?.x509Authorities, nowMs })
  for (const svid of state.svids) {
    const spiffeId = svid.id.text
    // Of two by one name the first is meant, as with the Workload API's hints.
    if (svids.has(spiffeId)) continue
    const why = faultOf(svid)
    if (why === undefined) {
      svids.set(spiffeId, svid)
      continue
    }
    const earlier = before?.svids.get(spiffeId)
    const kept = earlier !== undefined && faultOf(earlier) === undefined ? earlier : undefined
    svids.set(spiffeId, kept)
    faults.push({ spiffeId, why, hasEarlier: kept !== undefined })
  }
  const first = state.svids[0]?.id
  return {
    bundles: state.bundles,
    ownDomain: first?.trustDomain ?? before?.ownDomain,
    defaultId: first?.text,
    svids,
    faults,
  }
}
