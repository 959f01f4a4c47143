import { DerReader, type Element, parseOid, tags } from '#crypto/der.ts'
import { parseTime } from '#crypto/x509/time.ts'
import { integerOf, type RegoValue } from '../../values/value.ts'
import { parseString } from './name.ts'
import { timeText } from './time.ts'

const strings: ReadonlySet<number> = new Set([
  tags.utf8String,
  tags.numericString,
  tags.printableString,
  tags.t61String,
  tags.ia5String,
  tags.bmpString,
])

/** Whatever an element holds, as Go's `encoding/asn1` reads it into an `any` and its JSON shows it. @throws OperandError */
export function anyValue(element: Element): { readonly value: RegoValue; readonly text?: string } {
  const { tag, contents, whole } = element
  const reader = new DerReader(whole)
  if (strings.has(tag)) {
    const text = parseString(tag, contents)
    return { value: text, text }
  }
  switch (tag) {
    case tags.boolean:
      return { value: reader.boolean() }
    case tags.integer:
      return { value: integerOf(reader.int64()) }
    case tags.bitString: {
      const { bytes, unused } = reader.bitString()
      return { value: { Bytes: bytes.toString('base64'), BitLength: 8 * bytes.length - unused } }
    }
    case tags.oid:
      return { value: parseOid(contents) }
    case tags.utcTime:
    case tags.generalizedTime:
      return { value: timeText(parseTime(reader)) }
    case tags.octetString:
      return { value: contents.toString('base64') }
    default:
      return { value: null }
  }
}
