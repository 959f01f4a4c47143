import { type Clock, systemClock } from '#base/clock.ts'
import { pause } from '#base/pause.ts'
import { watchPath } from '#base/watch.ts'
import { readBundleFile } from '../bundle/bundle-file.ts'
import { BundleSet } from '../bundle/bundle-set.ts'
import type { TrustBundle } from '../bundle/trust-bundle.ts'
import { parseX509Svid, type X509Svid } from '../x509/svid.ts'
import { readKeyPair } from './key-pair-files.ts'
import { Publisher } from './publisher.ts'
import type { IdentitySource } from './source.ts'

export interface FilesConfig {
  /** PEM chain, leaf first. */
  readonly certificate: string
  readonly privateKey: string
  /** By trust domain: PEM, or a SPIFFE bundle where the name ends in .json or .jwks. */
  readonly trustBundles: Readonly<Record<string, string>>
}

/**
 * Our identity and the trust bundles from files that somebody else keeps fresh: cert-manager's CSI driver, a mounted
 * Secret, a person. The files are watched. A bundle counts as soon as it is read, whatever the pair says, for that is how
 * trust is taken back; a chain and a key count once they belong together and lead to a bundle. Until then, and for each
 * bundle that cannot be read, the last good one stays until it expires.
 */
export async function openFilesSource(
  options: FilesConfig & { readonly clock?: Clock; readonly intervalMs?: number },
): Promise<IdentitySource> {
  const { certificate, privateKey, trustBundles, clock = systemClock, intervalMs } = options
  const set = new BundleSet(1)
  const publisher = new Publisher({ clock, pause })
  let own: X509Svid | undefined
  let bundles: ReadonlyMap<string, TrustBundle> = new Map()
  let troubles: readonly string[] = []

  const load = () => {
    const found: string[] = []
    bundles = readBundles(trustBundles, bundles, found)
    set.replace(0, bundles)
    if (set.problem !== undefined) found.push(set.problem)
    const next = readOwn()
    if (next.ok) own = next.svid
    else found.push(next.why)
    troubles = found
    if (own !== undefined) publisher.publish({ svids: [own], bundles: set.merged.bundles })
  }

  const readOwn = (): ReturnType<typeof parseX509Svid> => {
    const pair = readKeyPair({ certificate, privateKey })
    if (!pair.ok) return pair
    const parsed = parseX509Svid({
      ...pair,
      authorities: (name) => set.merged.bundles.get(name)?.x509Authorities,
      nowMs: clock.nowMs(),
    })
    return parsed.ok ? parsed : { ok: false, why: `${certificate}: ${parsed.why}` }
  }

  load()
  await using watching = new AsyncDisposableStack()
  watching.use(publisher)
  const paths = new Set([certificate, privateKey, ...Object.values(trustBundles)])
  for (const path of paths)
    watching.use(watchPath(path, load, intervalMs === undefined ? {} : { intervalMs }))
  const owned = watching.move()
  return {
    current: () => publisher.current(),
    subscribe: (listener) => publisher.subscribe(listener),
    problem: () => {
      const expiry = publisher.expiry()
      const all = expiry === undefined ? troubles : [expiry, ...troubles]
      return all.length === 0 ? undefined : all.join('; ')
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** The bundles that the files say, and of those that cannot be read the ones before. */
function readBundles(
  paths: Readonly<Record<string, string>>,
  before: ReadonlyMap<string, TrustBundle>,
  troubles: string[],
): ReadonlyMap<string, TrustBundle> {
  const bundles = new Map<string, TrustBundle>()
  for (const [name, path] of Object.entries(paths)) {
    const read = readBundleFile(name, path)
    if (!read.ok) troubles.push(`${name}: ${read.why}`)
    const bundle = read.ok ? read.bundle : before.get(name)
    if (bundle !== undefined) bundles.set(name, bundle)
  }
  return bundles
}
