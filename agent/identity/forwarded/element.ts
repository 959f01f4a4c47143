/** What one proxy says of the certificate that a connection to it was made with. */
export interface XfccElement {
  /** Lower-case hex SHA-256 of the certificate. */
  readonly hash: string | undefined
  /** PEM of the leaf. */
  readonly certificate: string | undefined
  readonly uris: readonly string[]
  /** Whether nothing stands behind the URI, where somebody could have written it with the URI. */
  readonly isUriLast: boolean
}

export type ParsedXfcc =
  | { readonly ok: true; readonly format: 'text' | 'json'; readonly elements: readonly XfccElement[] }
  | { readonly ok: false; readonly why: string }

/** Names of what an element may say, in lower case. */
const elementKeys = ['by', 'hash', 'cert', 'chain', 'subject', 'uri', 'dns', 'issuer'] as const
export type ElementKey = (typeof elementKeys)[number]

/** Those that may stand more than once. */
export const repeatedKeys: ReadonlySet<ElementKey> = new Set(['by', 'uri', 'dns'])

export function isElementKey(text: string): text is ElementKey {
  return (elementKeys as readonly string[]).includes(text)
}

/** The digest as Envoy writes it; `undefined` where it is none. */
export function digestOf(text: string): string | undefined {
  return /^[0-9a-fA-F]{64}$/.test(text) ? text.toLowerCase() : undefined
}

export const maxElements = 16
