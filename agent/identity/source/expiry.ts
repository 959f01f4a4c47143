import { expiresAtMs, type X509Svid } from '../x509/svid.ts'

/** Of its life; what rotates does so at a half. */
const leastShare = 0.1

/** What is to be said of an identity by the clock; `undefined` while it is valid and more than a tenth of its life is left. */
export function expiryProblem(svid: X509Svid, nowMs: number): string | undefined {
  const [leaf] = svid.chain
  if (leaf === undefined) return `${svid.id.text}: no certificate`
  if (nowMs < leaf.notBeforeMs)
    return `${svid.id.text}: the certificate is not valid before ${new Date(leaf.notBeforeMs).toISOString()}: was the clock set back?`
  const endMs = expiresAtMs(svid)
  const leftMs = endMs - nowMs
  if (leftMs <= 0) return `${svid.id.text}: the certificate has expired`
  if (leftMs >= (endMs - leaf.notBeforeMs) * leastShare) return undefined
  return `${svid.id.text}: the certificate expires in ${Math.ceil(leftMs / 1000)} s and was not renewed`
}
