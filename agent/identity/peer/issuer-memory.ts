import type { IdentityState } from '../source/source.ts'

/** Names of CAs that were trusted once, by trust domain: Envoy's word counts for none of them. */
export interface IssuerMemory {
  learn(state: IdentityState): void
  /** `name`: the distinguished name in DER. */
  has(trustDomain: string, name: Buffer): boolean
}

/** Of one trust domain. A CA lives for a day at least. */
const maxNames = 256

export function createIssuerMemory(): IssuerMemory {
  const names = new Map<string, Set<string>>()
  let seen = Number.NaN
  return {
    learn: ({ generation, bundles }) => {
      if (generation === seen) return
      seen = generation
      for (const [trustDomain, { x509Authorities }] of bundles) {
        const known = names.get(trustDomain) ?? new Set()
        names.set(trustDomain, known)
        for (const { subject } of x509Authorities) known.add(subject.toString('latin1'))
        for (const oldest of known) {
          if (known.size <= maxNames) break
          known.delete(oldest)
        }
      }
    },
    has: (trustDomain, name) => names.get(trustDomain)?.has(name.toString('latin1')) === true,
  }
}
