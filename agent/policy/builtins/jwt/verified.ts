import { LRUCache } from 'lru-cache'
import { candidates, type KeySet } from './keys.ts'
import { isSignedBy, type Signed, type Strictness } from './signature.ts'
import type { HeaderFields } from './token.ts'

/**
 * Signatures that were found good, by the key set, the algorithm, the way of looking and every character of the token.
 * Nothing but the signature is remembered: times and claims are judged anew each time. What was found bad is not
 * remembered, so that nobody without a key can fill this.
 */
const cache = new LRUCache<string, true>({
  max: 5000,
  maxSize: 8 << 20,
  sizeCalculation: (_, key) => key.length,
})

/** Whether one of the keys made the token's signature by the algorithm. */
export function isSignedByOneOf(
  keys: KeySet,
  token: Signed & { readonly fields: HeaderFields; readonly text: string },
  { name, isStrict }: Strictness & { readonly name: string },
): boolean {
  const key = `${keys.id} ${name} ${isStrict} ${token.text}`
  if (cache.get(key)) return true
  const isGood = candidates(keys, token.fields).some((each) => {
    if (!isStrict && (each.isPrivate || each.kind === 'secret')) return false
    return isSignedBy(token, name, each, { isStrict })
  })
  if (isGood) cache.set(key, true)
  return isGood
}
