import { readFileSync } from 'node:fs'
import { messageOf } from '#base/errors.ts'
import { type ParsedBundle, parseSpiffeBundle } from './bundle.ts'
import { parsePemBundle } from './pem-bundle.ts'

/** Reads a bundle from a file: a SPIFFE bundle where its name ends in .json or .jwks, PEM otherwise. */
export function readBundleFile(trustDomain: string, path: string): ParsedBundle {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (thrown) {
    return { ok: false, why: messageOf(thrown) }
  }
  const parsed = /\.(json|jwks)$/.test(path)
    ? parseSpiffeBundle(trustDomain, text)
    : parsePemBundle(trustDomain, text)
  return parsed.ok ? parsed : { ok: false, why: `${path}: ${parsed.why}` }
}
