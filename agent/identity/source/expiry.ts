import type { X509Svid } from '../x509/svid.ts'

/** Of its life; what rotates does so at a half. */
const leastShare = 0.1

/** What is to be said of an identity that nobody renewed; `undefined` while more than a tenth of its life is left. */
export function expiryProblem({ id, chain }: X509Svid, nowMs: number): string | undefined {
  const [leaf] = chain
  if (leaf === undefined) return `${id.text}: no certificate`
  const leftMs = leaf.notAfterMs - nowMs
  if (leftMs <= 0) return `${id.text}: the certificate has expired`
  if (leftMs >= (leaf.notAfterMs - leaf.notBeforeMs) * leastShare) return undefined
  return `${id.text}: the certificate expires in ${Math.ceil(leftMs / 1000)} s and was not renewed`
}
