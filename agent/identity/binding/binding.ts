import type { Peer, TokenFacts } from '#decision/exchange.ts'
import type { LeafHistory } from './leaf-history.ts'

export { createLeafHistory, type LeafHistory } from './leaf-history.ts'

/** How a token was bound to who sent it: to its certificate, by a proof of possession, or not at all. */
export type BindingVerdict =
  | { readonly ok: true; readonly by: 'certificate' | 'previous_certificate' | 'proof' | 'nothing' }
  | { readonly ok: false; readonly why: string }

/**
 * Whether the sender of a token is the one that it was issued to. Everything that the token names must hold: a certificate
 * is that of the peer at the other end of the connection, a key that of the proof that came with the token (which is
 * checked in `dpop/`). Refusals are all `token_binding_mismatch`.
 *
 * @param scheme with which the token came
 * @param peer the direct one, whose certificate Envoy saw; never what a gateway forwards
 * @param history leaves that a workload had before its present one; without it none of them counts
 * @see RFC 8705, 3; RFC 9449, 7.1 and 7.2
 */
export function checkBinding(
  { confirmation }: Pick<TokenFacts, 'confirmation'>,
  scheme: 'bearer' | 'dpop',
  peer: Peer,
  history?: LeafHistory,
): BindingVerdict {
  const no = (why: string): BindingVerdict => ({ ok: false, why })
  const key = confirmation?.keyThumbprint
  const certificate = confirmation?.certificateSha256
  if (scheme === 'dpop' && key === undefined) return no('the DPoP scheme with a token that names no key')
  if (scheme === 'bearer' && key !== undefined) return no('a token that names a key was sent without a proof')
  if (certificate === undefined) return key === undefined ? unbound : proven
  const wanted = hexOf(certificate)
  if (wanted === undefined) return no('x5t#S256 is no SHA-256')
  if (wanted === peer.certificateSha256) return { ok: true, by: 'certificate' }
  return history?.isRecent(peer, wanted) === true
    ? { ok: true, by: 'previous_certificate' }
    : no('the token names another certificate')
}

const unbound: BindingVerdict = { ok: true, by: 'nothing' }
const proven: BindingVerdict = { ok: true, by: 'proof' }

/** Lower-case hex of a SHA-256 in base64url that is written in its one way. */
function hexOf(text: string): string | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === 32 && bytes.toString('base64url') === text ? bytes.toString('hex') : undefined
}
