import { createPrivateKey, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { messageOf } from '#base/errors.ts'
import { pemBlocks } from '../bundle/pem-bundle.ts'

export type ReadPair =
  | { readonly ok: true; readonly chain: readonly Buffer[]; readonly privateKey: KeyObject }
  | { readonly ok: false; readonly why: string }

const keyTypes: Readonly<Record<string, 'pkcs8' | 'sec1' | 'pkcs1'>> = {
  'PRIVATE KEY': 'pkcs8',
  'EC PRIVATE KEY': 'sec1',
  'RSA PRIVATE KEY': 'pkcs1',
}

/**
 * Reads a chain and a private key, from two files or the same one. Whether they belong together, and to whom, is not
 * asked here. Nothing of a key is ever said.
 */
export function readKeyPair(paths: { readonly certificate: string; readonly privateKey: string }): ReadPair {
  const chain = blocksOf(paths.certificate)
  if (!chain.ok) return chain
  const certificates = chain.blocks.filter(({ type }) => type === 'CERTIFICATE')
  if (certificates.length === 0) return no(paths.certificate, 'no CERTIFICATE in it')
  const keys = blocksOf(paths.privateKey)
  if (!keys.ok) return keys
  const [key, second] = keys.blocks.filter(({ type }) => type !== 'CERTIFICATE')
  if (key === undefined) return no(paths.privateKey, 'no PRIVATE KEY in it')
  if (second !== undefined) return no(paths.privateKey, 'more than one private key in it')
  const type = keyTypes[key.type]
  if (type === undefined) return no(paths.privateKey, `${key.type} is no private key that can be read`)
  try {
    return {
      ok: true,
      chain: certificates.map(({ bytes }) => bytes),
      privateKey: createPrivateKey({ key: key.bytes, format: 'der', type }),
    }
  } catch {
    return no(paths.privateKey, 'the private key in it is none')
  }
}

function blocksOf(path: string): ReturnType<typeof pemBlocks> {
  try {
    const found = pemBlocks(readFileSync(path, 'utf8'))
    return found.ok ? found : no(path, found.why)
  } catch (thrown) {
    return { ok: false, why: messageOf(thrown) }
  }
}

const no = (path: string, why: string): { readonly ok: false; readonly why: string } => ({
  ok: false,
  why: `${path}: ${why}`,
})
