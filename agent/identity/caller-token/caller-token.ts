import type { Exchange, Peer, TokenFacts } from '#decision/exchange.ts'
import { type ReasonCode, reasons } from '#decision/reasons.ts'
import { ALLOW, allowWith, deny, failure, type Verdict } from '#decision/verdict.ts'
import { checkBinding, type LeafHistory } from '../binding/binding.ts'
import { type Credential, readCredential } from '../credential/credential.ts'
import type { ProofCheck, ProofVerdict } from '../dpop/dpop.ts'
import type { TokenVerdict } from '../token/token.ts'
import type { VerifyToken } from './verify-token.ts'

export { createVerifyToken } from './verify-token.ts'

/** How the access tokens of requests are judged. */
export interface TokenRules {
  readonly verify: VerifyToken
  /** Whether a request without a token is refused, whatever its tenant asks for. */
  readonly isRequired: boolean
  /** Whether a token without a proof of possession is refused. */
  readonly isProofRequired: boolean
  /** Absent where proofs of possession are not taken. */
  readonly proofs?: ProofCheck
  readonly history?: LeafHistory
}

type Presented = Extract<Credential, { kind: 'bearer' | 'dpop' }>

/**
 * Finds on whose behalf a request is made: its one token is verified, is the sender's own, and stands in the exchange
 * then. Waits only where somebody else must be asked: the issuer about a token, the store of proofs that were used.
 */
export function judgeToken(rules: TokenRules, x: Exchange, peer: Peer): Verdict | Promise<Verdict> {
  const { headers, path } = x.request
  const query = path.indexOf('?')
  const credential = readCredential(headers, query === -1 ? '' : path.slice(query))
  // Seen before the token is looked at: the certificate of now is the one before of the next.
  rules.history?.seen(peer)
  switch (credential.kind) {
    case 'none':
      return rules.isRequired ? deny('token_missing') : ALLOW
    case 'refused':
      return deny(credential.reason, credential.why)
    case 'bearer':
    case 'dpop': {
      const verdict = rules.verify(credential.token, peer.spiffeId)
      return verdict instanceof Promise
        ? verdict.then((answer) => bound(rules, { x, peer, credential }, answer))
        : bound(rules, { x, peer, credential }, verdict)
    }
    default:
      return credential satisfies never
  }
}

interface Sent {
  readonly x: Exchange
  readonly peer: Peer
  readonly credential: Presented
}

/** A stolen token is nobody's. */
function bound(rules: TokenRules, sent: Sent, verdict: TokenVerdict): Verdict | Promise<Verdict> {
  if (!verdict.ok) return refused(verdict.reason, verdict.why)
  const { token } = verdict
  const { credential, peer, x } = sent
  const binding = checkBinding(token, credential.kind, peer, rules.history)
  if (!binding.ok) return deny('token_binding_mismatch', about(token, binding.why))
  const { proof } = credential
  if (proof === undefined && rules.isProofRequired)
    return deny('token_binding_mismatch', about(token, 'a token without a proof of possession'))
  const keyThumbprint = token.confirmation?.keyThumbprint
  if (proof === undefined || keyThumbprint === undefined) return accepted(x, token)
  if (rules.proofs === undefined) return deny('token_binding_mismatch', 'proofs of possession are not taken')
  const { method, path } = x.request
  const proven = rules.proofs(proof, {
    method,
    path,
    token: credential.token,
    keyThumbprint,
    peer: peer.spiffeId,
  })
  return proven instanceof Promise
    ? proven.then((answer) => proved(x, token, answer))
    : proved(x, token, proven)
}

/** Keys that cannot be had, and an issuer that does not answer, are not the caller's fault. */
function refused(reason: ReasonCode, why: string): Verdict {
  return reasons[reason].blame === 'mesh' ? failure(reason, new Error(why)) : deny(reason, why)
}

/** Whose token it was that somebody else sent, by the name under which it stands in the records of its owner. */
function about({ issuer, subject, hash }: TokenFacts, why: string): string {
  return `${why}; token ${hash} of ${subject} by ${issuer}`
}

function proved(x: Exchange, token: TokenFacts, verdict: ProofVerdict): Verdict {
  if (verdict.ok) return accepted(x, token, verdict.nextNonce)
  if (verdict.reason === 'replay_store_failed') return failure(verdict.reason, verdict.cause)
  const refusal = deny(verdict.reason, about(token, verdict.why))
  return verdict.reason === 'dpop_nonce_required' && refusal.kind === 'deny'
    ? { ...refusal, demand: { nonce: verdict.nonce } }
    : refusal
}

function accepted(x: Exchange, token: TokenFacts, nextNonce?: string): Verdict {
  x.token = token
  if (nextNonce === undefined) return ALLOW
  // An answer that was kept would give out the nonce when it is old.
  return allowWith({
    addResponseHeaders: [
      ['dpop-nonce', nextNonce],
      ['cache-control', 'no-store'],
    ],
  })
}
