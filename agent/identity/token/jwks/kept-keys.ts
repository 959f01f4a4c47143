import { isUtf8 } from 'node:buffer'
import { isJsonObject } from '#base/json.ts'
import { keep, readKept } from '#base/kept-file.ts'
import { parseStrictJson } from '#base/strict-json.ts'

/** The last good keys, as they are kept for a start without their server. */
export interface KeptKeys {
  /** Whose they are: others are not taken for them after the configuration was changed. */
  readonly issuer: string
  readonly place: string
  readonly fetchedAtMs: number
  /** The set as it came. */
  readonly jwks: string
}

export async function keepKeys(path: string, keys: KeptKeys): Promise<void> {
  await keep(path, Buffer.from(JSON.stringify(keys)))
}

/** @returns undefined where nothing was kept, or something of another issuer. @throws Error where it cannot be read. */
export async function readKeptKeys(
  path: string,
  { issuer, place }: Pick<KeptKeys, 'issuer' | 'place'>,
): Promise<KeptKeys | undefined> {
  const kept = await readKept(path)
  if (kept === undefined) return undefined
  const parsed = isUtf8(kept.bytes) ? parseStrictJson(kept.bytes.toString()) : undefined
  if (parsed?.ok !== true || !isJsonObject(parsed.value)) throw new Error('not a set of keys that was kept')
  const { issuer: itsIssuer, place: itsPlace, fetchedAtMs, jwks } = parsed.value
  if (itsIssuer !== issuer || itsPlace !== place) return undefined
  if (typeof fetchedAtMs !== 'number' || typeof jwks !== 'string')
    throw new Error('not a set of keys that was kept')
  return { issuer, place, fetchedAtMs, jwks }
}
