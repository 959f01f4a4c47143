import { createDevCa } from '#identity/dev-ca/dev-ca.ts'

/** A trust domain that cannot be anybody's (RFC 2606, 2). */
export const nobodysDomain = 'nobody.invalid'

/** What Envoy is given in the place of what was taken back. */
export interface Nobody {
  /** The certificate of a CA whose key is gone: no chain ends there. */
  readonly authorityPem: string
  /** A pair that no trust bundle vouches for. */
  readonly certificatePem: string
  readonly privateKeyPem: string
}

/**
 * Envoy takes neither an empty list of trust domains nor an empty certificate, keeps the old ones then, and takes a
 * validation context that says nothing for leave to let everybody in. So what is gone needs a form of its own.
 */
export function createNobody(): Nobody {
  // Nothing of the CA outlives this but what is public.
  const ca = createDevCa({ trustDomain: nobodysDomain })
  return { authorityPem: ca.bundlePem, ...ca.issue({ spiffeId: `spiffe://${nobodysDomain}/nobody` }) }
}
