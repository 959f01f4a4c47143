import { DerReader, tags } from '#crypto/der.ts'
import type { RegoObject, RegoValue } from '../../values/value.ts'
import { OperandError } from '../operands.ts'

export interface Attribute {
  readonly type: readonly number[]
  readonly value: RegoValue
  /** The value where it is a string type: only these have fields of their own. */
  readonly text?: string
}

/** A distinguished name, its relative names flattened. @throws OperandError */
export function parseName(der: Buffer): Attribute[] {
  const attributes: Attribute[] = []
  const names = new DerReader(der).inside(tags.sequence)
  while (!names.isEmpty) {
    const set = names.inside(tags.set)
    while (!set.isEmpty) {
      const pair = set.inside(tags.sequence)
      const type = pair.oid()
      const { tag, contents } = pair.any()
      const value = parseString(tag, contents)
      attributes.push({ type, value, text: value })
    }
  }
  return attributes
}

const printable = /^[A-Za-z0-9'-)+-/ :=?*&]*$/
/** What Unicode never assigns, and halves of pairs, which UCS-2 has not got. */
const reserved = /[\ufffe\uffff\ufdd0-\ufdef\ud800-\udfff]/

/** A string type of ASN.1, as Go's x509 reads it. @throws OperandError */
export function parseString(tag: number, contents: Buffer): string {
  const latin = contents.toString('latin1')
  switch (tag) {
    case tags.t61String:
      return latin
    case tags.printableString:
      if (printable.test(latin)) return latin
      break
    case tags.utf8String: {
      const text = contents.toString()
      if (Buffer.from(text).equals(contents)) return text
      break
    }
    case tags.bmpString: {
      if (contents.length % 2 !== 0) break
      const text = Buffer.from(contents).swap16().toString('utf16le').replace(/\0$/, '')
      if (!reserved.test(text)) return text
      break
    }
    case tags.ia5String:
      return ia5(contents)
    case tags.numericString:
      if (/^[0-9 ]*$/.test(latin)) return latin
      break
    default:
  }
  throw new OperandError(`not a string of tag ${tag}`)
}

/** ASCII. @throws OperandError */
export function ia5(contents: Buffer): string {
  if (contents.some((octet) => octet >= 0x80)) throw new OperandError('not ASCII')
  return contents.toString('latin1')
}

/** Attributes of a name that have a field of their own, by the last arc of 2.5.4. */
const fields: ReadonlyMap<number, string> = new Map([
  [6, 'Country'],
  [7, 'Locality'],
  [8, 'Province'],
  [9, 'StreetAddress'],
  [10, 'Organization'],
  [11, 'OrganizationalUnit'],
  [17, 'PostalCode'],
])

/** Go's `pkix.Name` as JSON. */
export function nameDocument(attributes: readonly Attribute[]): RegoObject {
  const lists: Record<string, string[] | null> = Object.fromEntries(
    [...fields.values()].map((field) => [field, null]),
  )
  let [commonName, serialNumber] = ['', '']
  for (const { type, text } of attributes) {
    const [a, b, c, last = -1] = type
    if (text === undefined || type.length !== 4 || a !== 2 || b !== 5 || c !== 4) continue
    const field = fields.get(last)
    if (last === 3) commonName = text
    else if (last === 5) serialNumber = text
    else if (field !== undefined) lists[field] = [...(lists[field] ?? []), text]
  }
  return {
    ...lists,
    CommonName: commonName,
    SerialNumber: serialNumber,
    Names:
      attributes.length === 0 ? null : attributes.map(({ type, value }) => ({ Type: type, Value: value })),
    ExtraNames: null,
  }
}
