import type { Challenge, Demand, SchemeChallenge } from './challenge.ts'
import { type ReasonCode, reasons } from './reasons.ts'
import type { RequestHeaders } from './request-headers.ts'
import type { Refusal } from './verdict.ts'

/** What challenges say whatever was refused. */
export interface ChallengeSettings {
  readonly realm?: string | undefined
  /** Where the metadata of this protected resource is. @see RFC 9728, 5.1 */
  readonly resourceMetadata?: string | undefined
  /** The algorithms of proofs of possession; there where such are taken. */
  readonly dpopAlgorithms?: readonly string[] | undefined
  /** Whether tokens without a proof are not taken at all. */
  readonly isDpopRequired?: boolean | undefined
}

/** Adds to a refusal what its client needs to come back with a better token; others it gives back as they are. */
export type Challenger = (refusal: Refusal, headers: RequestHeaders) => Refusal

/**
 * The error that a client reads for a reason, `undefined` where it is only told what is taken here. Reasons that are not
 * listed have no challenge: no token would help.
 *
 * @see RFC 6750, 3.1; RFC 9470, 3; RFC 9449, 7.1 and 9
 */
const errors: ReadonlyMap<ReasonCode, string | undefined> = new Map<ReasonCode, string | undefined>([
  ['token_missing', undefined],
  ['credentials_ambiguous', 'invalid_request'],
  ['token_malformed', 'invalid_token'],
  ['token_invalid', 'invalid_token'],
  ['token_signature_invalid', 'invalid_token'],
  ['token_key_unknown', 'invalid_token'],
  ['token_issuer_unknown', 'invalid_token'],
  ['token_audience_wrong', 'invalid_token'],
  ['token_expired', 'invalid_token'],
  ['token_inactive', 'invalid_token'],
  ['token_binding_mismatch', 'invalid_token'],
  ['dpop_proof_invalid', 'invalid_dpop_proof'],
  ['dpop_proof_replayed', 'invalid_dpop_proof'],
  ['dpop_nonce_required', 'use_dpop_nonce'],
  ['step_up_required', 'insufficient_user_authentication'],
  ['scope_insufficient', 'insufficient_scope'],
])

/** The challenges of one configuration. Made for refusals that pass the pipeline, whichever stage they come from. */
export function createChallenger(settings: ChallengeSettings = {}): Challenger {
  const { realm, resourceMetadata, dpopAlgorithms, isDpopRequired = false } = settings
  const before = parameters(['realm', realm])
  const after = parameters(
    ['algs', dpopAlgorithms?.join(' ')],
    // Last: the longest, and what readers that cut off a header miss least.
    ['resource_metadata', resourceMetadata],
  )
  const isDpopTaken = dpopAlgorithms !== undefined

  const schemeOf = (scheme: SchemeChallenge['scheme'], more: Parameters = []): SchemeChallenge => ({
    scheme,
    parameters: [
      ...before,
      ...more,
      ...(scheme === 'DPoP' ? after : after.filter(([name]) => name !== 'algs')),
    ],
  })

  return (refusal, headers) => {
    if (refusal.kind !== 'deny' || !errors.has(refusal.reason)) return refusal
    const error = errors.get(refusal.reason)
    const { demand } = refusal
    const offered = offers(isDpopTaken, isDpopRequired)
    if (error === undefined)
      return { ...refusal, challenge: { schemes: offered.map((scheme) => schemeOf(scheme)) } }
    const used = isAboutProof(error) || (isDpopTaken && usesDpop(headers)) ? 'DPoP' : 'Bearer'
    const told = parameters(
      ['error', error],
      ['error_description', reasons[refusal.reason].text],
      ...demanded(demand),
    )
    const challenge: Challenge = {
      schemes: [
        schemeOf(used, told),
        ...offered.filter((scheme) => scheme !== used).map((scheme) => schemeOf(scheme)),
      ],
      ...(demand?.nonce !== undefined && { nonce: demand.nonce }),
    }
    return { ...refusal, challenge }
  }
}

type Parameters = readonly (readonly [name: string, value: string])[]

function parameters(...all: readonly (readonly [name: string, value: string | undefined])[]): Parameters {
  return all.flatMap(([name, value]) => (value === undefined ? [] : [[name, value] as const]))
}

function demanded(demand: Demand | undefined): readonly (readonly [string, string | undefined])[] {
  return [
    ['scope', demand?.scope],
    ['acr_values', demand?.acrValues?.join(' ')],
    ['max_age', demand?.maxAgeSeconds === undefined ? undefined : String(demand.maxAgeSeconds)],
  ]
}

function offers(isDpopTaken: boolean, isDpopRequired: boolean): readonly SchemeChallenge['scheme'][] {
  if (!isDpopTaken) return ['Bearer']
  return isDpopRequired ? ['DPoP'] : ['Bearer', 'DPoP']
}

function isAboutProof(error: string): boolean {
  return error === 'invalid_dpop_proof' || error === 'use_dpop_nonce'
}

function usesDpop(headers: RequestHeaders): boolean {
  return headers.single('authorization')?.slice(0, 5).toLowerCase() === 'dpop '
}
