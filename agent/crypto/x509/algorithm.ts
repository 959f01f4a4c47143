import type { DerReader } from '../der.ts'

export type KeyKind = 'rsa' | 'dsa' | 'ecdsa' | 'ed25519' | 'x25519'

export const keyKinds: ReadonlyMap<string, KeyKind> = new Map([
  ['1.2.840.113549.1.1.1', 'rsa'],
  ['1.2.840.10040.4.1', 'dsa'],
  ['1.2.840.10045.2.1', 'ecdsa'],
  ['1.3.101.112', 'ed25519'],
  ['1.3.101.110', 'x25519'],
])

export interface AlgorithmIdentifier {
  readonly algorithm: string
  /** The parameters' DER, empty where there are none. */
  readonly parameters: Buffer
}

export function algorithmIdentifier(reader: DerReader): AlgorithmIdentifier {
  const algorithm = reader.oid().join('.')
  return { algorithm, parameters: reader.isEmpty ? Buffer.alloc(0) : reader.any().whole }
}

export const derNull = Buffer.from([5, 0])
