import { LRUCache } from 'lru-cache'

/** A few clients make most of the requests, each with the same certificate again. */
const remembered = { max: 1024 }
/** A chain or a monster is not worth its memory a thousand times. */
const maxCharacters = 8192
const encoded = new LRUCache<string, string>(remembered)
const decoded = new LRUCache<string, string>(remembered)

/** A certificate as ext_authz brings it and as policies know it: URL-encoded. */
export function encodedPem(pem: string): string {
  let text = encoded.get(pem)
  if (text === undefined) {
    text = encodeURIComponent(pem)
    if (text.length <= maxCharacters) encoded.set(pem, text)
  }
  return text
}

/** The way back. @throws URIError for what is not URL-encoded. */
export function decodedPem(text: string): string {
  let pem = decoded.get(text)
  if (pem === undefined) {
    pem = decodeURIComponent(text)
    if (text.length <= maxCharacters) decoded.set(text, pem)
  }
  return pem
}
