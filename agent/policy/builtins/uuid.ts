import { randomUUID } from 'node:crypto'
import { regoText } from '../values/rego-text.ts'
import { integerOf, type RegoValue } from '../values/value.ts'
import type { Family } from './builtin.ts'
import { text } from './operands.ts'

/** The sixteen bytes of a UUID in any of its usual spellings, `undefined` when it is none. Braces may be any character. */
function bytesOf(value: string): Buffer | undefined {
  const bare = value.replace(/^urn:uuid:(?=.{36}$)/i, '').replace(/^\p{ASCII}(.{36})\p{ASCII}$/su, '$1')
  const isDashed = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(bare)
  if (!isDashed && !/^[0-9a-f]{32}$/i.test(value)) return undefined
  return Buffer.from(bare.replaceAll('-', ''), 'hex')
}

function variantOf(byte: number): string {
  if ((byte & 0xc0) === 0x80) return 'RFC4122'
  if ((byte & 0xe0) === 0xc0) return 'Microsoft'
  if ((byte & 0xe0) === 0xe0) return 'Future'
  return 'Reserved'
}

/** Between the start of the Gregorian calendar and 1970, in steps of 100 ns. */
const gregorianOffset = 122_192_928_000_000_000n
const domains = ['Person', 'Group', 'Org']

/** `uuid.*`. @see RFC 4122 */
export const uuidBuiltins: Family = {
  'uuid.parse': (_, value) => {
    const bytes = bytesOf(text(value))
    if (bytes === undefined) return undefined
    const version = (bytes[6] as number) >> 4
    const known = { version, variant: variantOf(bytes[8] as number) }
    if (version !== 1 && version !== 2) return known
    const high = BigInt(bytes.readUInt16BE(6) & 0x0fff)
    const time = (high << 48n) | (BigInt(bytes.readUInt16BE(4)) << 32n) | BigInt(bytes.readUInt32BE(0))
    const first = bytes[10] as number
    return {
      ...known,
      time: integerOf(BigInt.asIntN(64, (time - gregorianOffset) * 100n)),
      nodeid: [...bytes.subarray(10)].map((byte) => byte.toString(16).padStart(2, '0')).join('-'),
      macvariables: `${(first & 2) === 0 ? 'global' : 'local'}:${(first & 1) === 0 ? 'unicast' : 'multicast'}`,
      clocksequence: bytes.readUInt16BE(8) & 0x3fff,
      ...(version === 2 && {
        id: bytes.readUInt32BE(0),
        domain: domains[bytes[9] as number] ?? `Domain${bytes[9]}`,
      }),
    }
  },
  'uuid.rfc4122': (context, key) => {
    context.memo ??= new Map()
    const name = `uuid.rfc4122 ${regoText(key as RegoValue)}`
    let chosen = context.memo.get(name)
    if (chosen === undefined) {
      chosen = randomUUID()
      context.memo.set(name, chosen)
    }
    return chosen
  },
}
