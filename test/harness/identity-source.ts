import { createPrivateKey } from 'node:crypto'
import { nextPemBlock } from '#crypto/pem.ts'
import type { TrustBundle } from '#identity/bundle/trust-bundle.ts'
import type { Issued } from '#identity/dev-ca/dev-ca.ts'
import type { IdentitySource, IdentityState } from '#identity/source/source.ts'
import { type Certificate, parseCertificate } from '#identity/x509/certificate.ts'
import { parseLeaf } from '#identity/x509/leaf.ts'
import type { X509Svid } from '#identity/x509/svid.ts'

/** A source that says what a test has it say. */
export interface ScriptedSource extends IdentitySource {
  say(state: Omit<IdentityState, 'generation'>): void
}

export function scriptedSource(first?: Omit<IdentityState, 'generation'>): ScriptedSource {
  const listeners = new Set<(state: IdentityState) => void>()
  let generation = 0
  let state: IdentityState | undefined
  const say: ScriptedSource['say'] = (next) => {
    state = { ...next, generation: ++generation }
    for (const listener of listeners) listener(state)
  }
  if (first !== undefined) say(first)
  return {
    say,
    current: () => state,
    subscribe: (listener) => {
      listeners.add(listener)
      if (state !== undefined) listener(state)
      return { [Symbol.dispose]: () => void listeners.delete(listener) }
    },
    problem: () => undefined,
    [Symbol.asyncDispose]: async () => listeners.clear(),
  }
}

/** A pair as it was issued, whether it fits or not. */
export function pair(issued: Issued, key: Issued = issued): X509Svid {
  const chain = certificates(issued.certificatePem)
  const parsed = parseLeaf((chain[0] as Certificate).der)
  if (!parsed.ok) throw new Error(parsed.why)
  return { id: parsed.leaf.id, chain, privateKey: createPrivateKey(key.privateKeyPem), hint: '' }
}

export function bundle(trustDomain: string, ...pems: readonly string[]): TrustBundle {
  return { trustDomain, x509Authorities: pems.flatMap(certificates), jwtAuthorities: [] }
}

export function bundles(...all: readonly TrustBundle[]): ReadonlyMap<string, TrustBundle> {
  return new Map(all.map((each) => [each.trustDomain, each]))
}

function certificates(pem: string): Certificate[] {
  const found: Certificate[] = []
  for (let at = nextPemBlock(pem); at !== undefined; at = nextPemBlock(at.rest))
    found.push(parseCertificate(at.block.bytes))
  return found
}
