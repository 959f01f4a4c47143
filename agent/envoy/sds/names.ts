import { parseSpiffeId, trustDomainFault } from '#identity/spiffe-id.ts'

/** By which names secrets may be asked for, beside SPIFFE IDs. */
export interface SecretNames {
  /** Our own first identity. */
  readonly certificate: string
  /** The trust bundle of our own trust domain. */
  readonly ownBundle: string
  /** The bundles of all trust domains. */
  readonly allBundles: string
}

/** What SPIRE's agent and Istio's call them. */
export const defaultNames: SecretNames = { certificate: 'default', ownBundle: 'ROOTCA', allBundles: 'ALL' }

/** What a name stands for. */
export type Wanted =
  | { readonly kind: 'default' }
  | { readonly kind: 'identity'; readonly spiffeId: string }
  | { readonly kind: 'own-bundle' }
  | { readonly kind: 'all-bundles' }
  | { readonly kind: 'bundle'; readonly trustDomain: string }

const scheme = 'spiffe://'

/** `undefined` for a name by which nothing can ever be had. */
export function wantedBy(name: string, names: SecretNames): Wanted | undefined {
  if (name === names.certificate) return { kind: 'default' }
  if (name === names.ownBundle) return { kind: 'own-bundle' }
  if (name === names.allBundles) return { kind: 'all-bundles' }
  if (!name.startsWith(scheme)) return undefined
  const trustDomain = name.slice(scheme.length)
  if (trustDomainFault(trustDomain) === undefined) return { kind: 'bundle', trustDomain }
  return parseSpiffeId(name).ok ? { kind: 'identity', spiffeId: name } : undefined
}

/** The name of a trust domain's bundle. */
export function bundleName(trustDomain: string): string {
  return `${scheme}${trustDomain}`
}
