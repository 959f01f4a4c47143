import type { Snapshot } from './contents.ts'
import { refuse } from './refuse.ts'

/** How to tell which of two revisions is the older: numbers, dotted versions, or texts such as dates. */
export type RevisionOrder = 'number' | 'version' | 'text'

/** What a set of bundles is held to beyond OPA's rules. */
export interface Rigour {
  /** Unsigned bundles are refused, and so is one older than that in force. */
  readonly isProduction: boolean
  /** For signatures that say no time of issue. */
  readonly revisionOrder?: RevisionOrder | undefined
}

/** What a bundle says of its age, and who vouches for it. */
export type Claims = Pick<Snapshot, 'manifest' | 'signedBy'>

/**
 * Holds a new bundle against the one in force, where that is asked for.
 *
 * @throws SluiceError for one that is not signed, older, or whose age nobody can tell.
 */
export function checkFreshness(
  next: Claims,
  current: Claims | undefined,
  { isProduction, revisionOrder }: Rigour,
  place: string,
): void {
  if (!isProduction) return
  if (next.signedBy === undefined)
    refuse(place, '.signatures.json', 'no signature', 'a signed bundle: the profile is production')
  const issuedAt = next.signedBy?.issuedAt
  if (issuedAt !== undefined) {
    const before = current?.signedBy?.issuedAt
    if (before !== undefined && issuedAt < before)
      refuse(place, '.signatures.json', `issued at ${issuedAt}`, `not before ${before}, as the one in force`)
    if (before !== undefined || current === undefined) return
  }
  const { revision } = next.manifest
  if (revisionOrder === undefined)
    return refuse(
      place,
      '.signatures.json',
      issuedAt === undefined
        ? 'no iat, by which its age could be told'
        : 'an iat, which the one in force has not',
      'iat among the claims it is signed with, or policy.revisionOrder',
    )
  const isOlder = orders[revisionOrder](revision, current?.manifest.revision ?? revision)
  if (isOlder === undefined)
    refuse(
      place,
      '.manifest',
      `the revision ${JSON.stringify(revision)}`,
      `one that compares as ${revisionOrder}`,
    )
  if (isOlder === true)
    refuse(
      place,
      '.manifest',
      `the revision ${revision}`,
      `none before ${current?.manifest.revision}, as the one in force`,
    )
}

/** Whether the first is before the second; `undefined` where one of them is no such revision. */
const orders: Readonly<Record<RevisionOrder, (a: string, b: string) => boolean | undefined>> = {
  number: (a, b) => (/^\d+$/.test(a) && /^\d+$/.test(b) ? BigInt(a) < BigInt(b) : undefined),
  version: (a, b) => {
    const [left, right] = [numbersOf(a), numbersOf(b)]
    if (left === undefined || right === undefined) return undefined
    for (let index = 0; index < Math.max(left.length, right.length); index++) {
      const [one, other] = [left[index] ?? 0n, right[index] ?? 0n]
      if (one !== other) return one < other
    }
    return false
  },
  text: (a, b) => (a === '' || b === '' ? undefined : a < b),
}

/** `v1.20.3` in numbers. */
function numbersOf(version: string): bigint[] | undefined {
  return /^v?\d+(\.\d+)*$/.test(version) ? version.replace(/^v/, '').split('.').map(BigInt) : undefined
}
