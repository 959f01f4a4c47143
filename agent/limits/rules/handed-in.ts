import { claimReader } from '#base/claim-path.ts'
import type { JsonObject } from '#base/json.ts'
import type { QuotaLimit } from '#resources/resources.ts'
import type { HandedIn } from './rules.ts'

/**
 * Reads the number that is handed in for one limit; policy goes before the token.
 *
 * @returns `undefined` where nobody hands one in, `invalid` where what is handed in is no whole number
 */
export function handedInReader(
  name: string,
  source: NonNullable<QuotaLimit['handedIn']>,
): (handedIn: HandedIn) => number | 'invalid' | undefined {
  const { policy: isFromPolicy, claim, atMost = Number.MAX_SAFE_INTEGER } = source
  const readClaim = claim === undefined ? undefined : claimReader(claim)
  return ({ policy, claims }) => {
    const said =
      (isFromPolicy ? policy?.get(name) : undefined) ??
      (claims === undefined ? undefined : readClaim?.(claims as JsonObject))
    if (said === undefined) return undefined
    const number = wholeNumber(said)
    return number === undefined ? 'invalid' : Math.min(number, atMost)
  }
}

/** Some issuers write numbers as text. */
function wholeNumber(said: unknown): number | undefined {
  const number = typeof said === 'string' && /^(0|[1-9][0-9]{0,15})$/.test(said) ? Number(said) : said
  return typeof number === 'number' && Number.isSafeInteger(number) && number >= 0 ? number : undefined
}
