import { isUtf8 } from 'node:buffer'
import { decodeBase64 } from '#crypto/base64.ts'
import { fromJsonText } from '../../values/json.ts'
import type { RegoObject } from '../../values/value.ts'
import { OperandError, object } from '../operands.ts'

/** The three parts of a compact token, as they are written. */
export interface Token {
  readonly header: string
  readonly payload: string
  readonly signature: string
  /** What the signature is over. */
  readonly signed: string
}

/** @throws OperandError @see RFC 7515, 7.1 */
export function splitToken(value: string): Token {
  const first = value.indexOf('.')
  const second = value.indexOf('.', first + 1)
  if (first === -1 || second === -1 || value.includes('.', second + 1))
    throw new OperandError('a JWT has three parts')
  return {
    header: value.slice(0, first),
    payload: value.slice(first + 1, second),
    signature: value.slice(second + 1),
    signed: value.slice(0, second),
  }
}

/** @throws OperandError */
export function decodePart(part: string): Buffer {
  // Padding may be left out (RFC 7515, C). OPA counts line ends, which it otherwise passes over.
  const padding = part.endsWith('=') ? '' : paddings[part.length % 4]
  if (padding === undefined) throw new OperandError('not base64url')
  return decodeBase64(part + padding, 'url', 'padded')
}

const paddings: readonly (string | undefined)[] = ['', undefined, '==', '=']

/** The header of a signed token. @throws OperandError where it is none, or one of an encrypted token. */
export function decodeHeader({ header }: Token): RegoObject {
  const found = decodeObject(decodePart(header))
  if (Object.hasOwn(found, 'enc')) throw new OperandError('an encrypted token (JWE)')
  return found
}

/** @throws OperandError, SyntaxError, RangeError */
export function decodeObject(bytes: Buffer): RegoObject {
  return object(fromJsonText(goText(bytes)))
}

/** Octets as Go's JSON reads them: each that belongs to no character is one U+FFFD, where Node takes some together. */
export function goText(bytes: Buffer): string {
  if (isUtf8(bytes)) return bytes.toString()
  let text = ''
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at] as number
    const length = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    const character = bytes.subarray(at, at + length)
    const isCharacter = isUtf8(character)
    text += isCharacter ? character.toString() : '\ufffd'
    at += isCharacter ? character.length : 1
  }
  return text
}

/** What a header says that verification asks for. */
export interface HeaderFields {
  readonly alg: string
  readonly kid: string
  readonly cty: string
  readonly critical?: ReadonlySet<string>
}

/** @throws OperandError where one of them is of another type. @see RFC 7515, 4.1 */
export function headerFields(header: RegoObject): HeaderFields {
  for (const name of ['alg', 'kid', 'typ', 'cty'])
    if (typeof own(header, name, '') !== 'string') throw new OperandError(`${name} is no string`)
  const crit = own(header, 'crit', undefined)
  const critical = Array.isArray(crit) ? new Set(leadingStrings(crit)) : undefined
  if (crit !== undefined && !critical?.size) throw new OperandError('crit is no list of names')
  const [alg, kid, cty] = ['alg', 'kid', 'cty'].map((name) => own(header, name, '') as string)
  return { alg: alg ?? '', kid: kid ?? '', cty: cty ?? '', ...(critical !== undefined && { critical }) }
}

function own(header: RegoObject, name: string, otherwise: unknown): unknown {
  return Object.hasOwn(header, name) ? header[name] : otherwise
}

/** Up to what is none, where OPA stops to look. */
function leadingStrings(items: readonly unknown[]): string[] {
  const end = items.findIndex((item) => typeof item !== 'string')
  return (end === -1 ? items : items.slice(0, end)) as string[]
}

/**
 * Whether a token of this header may be trusted at all. Where the header names critical extensions it may not: none is
 * understood. OPA looks only at those that the header has as members, and lets a name pass that it has not (RFC 7515,
 * 4.1.11 does not).
 */
export function isUnderstood({ alg, critical }: HeaderFields): boolean {
  return alg !== '' && critical === undefined
}
