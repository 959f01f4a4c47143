import { bytesOf, checkBytes } from '../check.ts'
import type { Difference } from '../differences.ts'
import { entry, field, rawAttributes, rawHttp } from '../raw.ts'
import { type Case, caseOf, octets } from './case.ts'

const bad = octets(0x61, 0xff)
const http = field(4, field(2, field(4, '/people')))
const structWith = (value: Buffer) => field(11, entry(1, 'filter', entry(1, 'key', value)))

/** What no encoder of protobuf writes, or only for names that JavaScript takes for something else. */
const raws: readonly (readonly [name: string, bytes: Buffer, differs?: Difference])[] = [
  ['headers named as a prototype', rawHttp(entry(3, '__proto__', 'x'), entry(3, 'constructor', 'y'))],
  ['a header twice', rawHttp(entry(3, 'x-a', '1'), entry(3, 'x-a', '2'))],
  ['a header with NUL', rawHttp(entry(3, 'x-a', 'a\0b'))],
  ['a header without a value', rawHttp(field(3, field(1, 'x-a')))],
  [
    'labels and extensions named as a prototype',
    rawAttributes(http, entry(10, '__proto__', 'x'), field(1, entry(3, '__proto__', 'y'))),
  ],
  [
    'metadata named as a prototype',
    rawAttributes(http, field(11, entry(1, '__proto__', entry(1, '__proto__', field(3, 'x'))))),
  ],
  ['a header that is no UTF-8', rawHttp(entry(3, 'x-a', bad))],
  ['a path that is no UTF-8', rawHttp(field(4, bad))],
  ['a body that is no UTF-8', rawHttp(field(11, bad))],
  ['a key that is no UTF-8', rawAttributes(http, entry(10, bad, 'x'))],
  ['no protobuf', octets(0x0a, 0xff)],
  ['a field that nobody knows', Buffer.concat([checkBytes(), field(99, 'x')])],
  [
    'metadata with a number that is none',
    rawAttributes(http, structWith(octets(0x11, 0, 0, 0, 0, 0, 0, 0xf8, 0x7f))),
    'odd-metadata',
  ],
  [
    'metadata with an infinite number',
    rawAttributes(http, structWith(octets(0x11, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f))),
    'odd-metadata',
  ],
  ['metadata of no kind', rawAttributes(http, structWith(octets())), 'odd-metadata'],
  ['a size beyond the doubles', checkBytes({ size: 2n ** 53n + 1n }), 'inexact-size'],
  ['no request', bytesOf({}), 'no-request'],
  ['a request that is not HTTP', bytesOf({ request: {} }), 'no-request'],
]

export const rawCases: readonly Case[] = raws.map(([name, bytes, differs]) =>
  caseOf(`raw: ${name}`, bytes, differs),
)
