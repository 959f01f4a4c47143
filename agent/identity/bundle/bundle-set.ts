import { isSameKeys } from '#crypto/jose/jwk-set.ts'
import type { TrustBundle, TrustBundles } from './trust-bundle.ts'

/** What all sources together say, one bundle a trust domain. */
export interface MergedBundles {
  /** Another one for each change of what can be verified. */
  readonly generation: number
  readonly bundles: TrustBundles
}

/**
 * Bundles from several sources. Each trust domain has the bundle of the first source in the order that has one: two
 * bundles are never mixed, not even of one trust domain. A bundle with an older sequence than the one before it from the
 * same source is refused, so that nobody brings back what was revoked.
 *
 * @see SPIFFE_Federation.md, 4.2
 */
export class BundleSet {
  readonly #sources: readonly Map<string, TrustBundle>[]
  #merged: MergedBundles = { generation: 0, bundles: new Map() }
  /** What was refused lately, by source and trust domain. */
  readonly #refused: readonly Map<string, string>[]

  constructor(sources: number) {
    this.#sources = Array.from({ length: sources }, () => new Map())
    this.#refused = Array.from({ length: sources }, () => new Map())
  }

  get merged(): MergedBundles {
    return this.#merged
  }

  /** The bundles that were refused and that nothing newer has come for; `undefined` where there are none. */
  get problem(): string | undefined {
    const all = this.#refused.flatMap((each) => [...each.values()])
    return all.length === 0 ? undefined : all.join('; ')
  }

  /** All that the source of that place in the order has now. @returns whether what can be verified has changed. */
  replace(source: number, bundles: TrustBundles): boolean {
    const [known, refused] = [this.#sources[source], this.#refused[source]]
    if (known === undefined || refused === undefined) throw new RangeError(`no source ${source}`)
    for (const name of [...known.keys()]) if (!bundles.has(name)) known.delete(name)
    refused.clear()
    for (const [name, bundle] of bundles) {
      const before = known.get(name)
      if (before !== undefined && isOlder(bundle, before))
        refused.set(name, `${name}: a bundle of sequence ${bundle.sequence} after one of ${before.sequence}`)
      else known.set(name, bundle)
    }
    return this.#merge()
  }

  #merge(): boolean {
    const bundles = new Map<string, TrustBundle>()
    for (const source of this.#sources)
      for (const [name, bundle] of source) if (!bundles.has(name)) bundles.set(name, bundle)
    const hasChanged = !isSameBundles(bundles, this.#merged.bundles)
    const generation = this.#merged.generation + (hasChanged ? 1 : 0)
    this.#merged = { generation, bundles }
    return hasChanged
  }
}

/** Whether two sets of bundles verify the same SVIDs. */
export function isSameBundles(some: TrustBundles, others: TrustBundles): boolean {
  if (some.size !== others.size) return false
  for (const [name, bundle] of some) {
    const other = others.get(name)
    if (other === undefined || (other !== bundle && !verifiesTheSame(bundle, other))) return false
  }
  return true
}

/** Whether a bundle was made before another one, as far as both count. */
export function isOlder(bundle: TrustBundle, than: TrustBundle): boolean {
  return bundle.sequence !== undefined && than.sequence !== undefined && bundle.sequence < than.sequence
}

/** Whether two bundles of one trust domain verify the same SVIDs. */
export function verifiesTheSame(one: TrustBundle, other: TrustBundle): boolean {
  const { x509Authorities: certificates } = one
  return (
    certificates.length === other.x509Authorities.length &&
    certificates.every(({ sha256 }, index) => sha256 === other.x509Authorities[index]?.sha256) &&
    isSameKeys(one.jwtAuthorities, other.jwtAuthorities)
  )
}
