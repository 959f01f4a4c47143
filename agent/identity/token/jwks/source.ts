import type { JsonObject } from '#base/json.ts'
import { isJsonObject } from '#base/json.ts'
import { parseStrictJson } from '#base/strict-json.ts'
import type { KeySourceConfig } from '../types.ts'

export interface Document {
  readonly text: string
  /** How long the server says that it is fresh. */
  readonly maxAgeSeconds?: number | undefined
}

/** Fetches one document. @throws Error that says at which address what went wrong. */
export type FetchDocument = (url: string, signal: AbortSignal) => Promise<Document>

/** A JWK set on a server. */
export interface KeySource {
  /** Where it is, for people. */
  readonly place: string
  /** @throws Error that says at which address what went wrong. */
  read(signal: AbortSignal): Promise<Document>
}

type RemoteConfig = Exclude<KeySourceConfig, { readonly file: string }>

export function createKeySource(issuer: string, config: RemoteConfig, fetch: FetchDocument): KeySource {
  if ('url' in config) {
    const { url } = config
    return { place: url, read: (signal) => fetch(url, signal) }
  }
  const place = discoveryUrl(issuer, config.discovery)
  return {
    place,
    read: async (signal) => fetch(jwksUri(await fetch(place, signal), place, issuer), signal),
  }
}

/**
 * Where an issuer's metadata are: OpenID appends to the path, RFC 8414 inserts before it.
 *
 * @see OpenID Connect Discovery 1.0, 4; RFC 8414, 3.1
 */
function discoveryUrl(issuer: string, kind: 'oidc' | 'oauth'): string {
  const path = issuer.replace(/\/$/, '')
  if (kind === 'oidc') return `${path}/.well-known/openid-configuration`
  const { origin, pathname } = new URL(path)
  return `${origin}/.well-known/oauth-authorization-server${pathname === '/' ? '' : pathname}`
}

/** @throws Error where the metadata are another issuer's: else one could speak for another. @see RFC 8414, 3.3 */
function jwksUri({ text }: Document, place: string, issuer: string): string {
  const metadata = objectOf(text, place)
  if (metadata['issuer'] !== issuer)
    throw new Error(`${place}: the metadata are of another issuer; expected ${issuer} to the letter`)
  const uri = metadata['jwks_uri']
  if (typeof uri !== 'string' || !URL.canParse(uri)) throw new Error(`${place}: no jwks_uri`)
  return uri
}

function objectOf(text: string, place: string): JsonObject {
  const parsed = parseStrictJson(text)
  if (!parsed.ok) throw new Error(`${place}: not JSON that has one meaning: ${parsed.why}`)
  if (!isJsonObject(parsed.value)) throw new Error(`${place}: not a JSON object`)
  return parsed.value
}
