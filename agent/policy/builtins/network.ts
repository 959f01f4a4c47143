import { isIP } from 'node:net'
import { entriesOf, setOf } from '../values/compare.ts'
import { isAnyObject, RegoSet, type RegoValue } from '../values/value.ts'
import type { Family } from './builtin.ts'
import { collection, OperandError, succeeds, text } from './operands.ts'

type Width = 32 | 128

interface Address {
  readonly width: Width
  readonly value: bigint
}

/** A block of addresses, its first one masked. */
interface Block {
  readonly width: Width
  readonly first: bigint
  readonly last: bigint
  readonly prefix: number
  /** How it is shown where that is not its first address and prefix. */
  readonly text?: string
}

/** As Go's `net.ParseIP`: an IPv4 address in an IPv6 one is an IPv4 address; no zones, no leading zeros. */
function parseAddress(value: string): Address | undefined {
  const family = value.includes('%') ? 0 : isIP(value)
  if (family === 4) return { width: 32, value: fromIpv4(value) }
  if (family !== 6) return undefined
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(value)
  const plain = dotted === null ? value : `${dotted[1]}${hexOfIpv4(dotted[2] as string)}`
  const [head = '', tail] = plain.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === undefined || tail === '' ? [] : tail.split(':')
  const middle = Array.from({ length: 8 - left.length - right.length }, () => '0')
  let bits = 0n
  for (const part of [...left, ...middle, ...right]) bits = (bits << 16n) | BigInt(`0x${part}`)
  return bits >> 32n === 0xffffn ? { width: 32, value: bits & 0xffff_ffffn } : { width: 128, value: bits }
}

function fromIpv4(value: string): bigint {
  return value.split('.').reduce((bits, part) => (bits << 8n) | BigInt(part), 0n)
}

function hexOfIpv4(value: string): string {
  const bits = fromIpv4(value)
  return `${(bits >> 16n).toString(16)}:${(bits & 0xffffn).toString(16)}`
}

/** As Go's `net.ParseCIDR`. @throws OperandError */
function parseBlock(value: string): Block {
  const slash = value.indexOf('/')
  const digits = value.slice(slash + 1)
  const address = slash === -1 ? undefined : parseAddress(value.slice(0, slash))
  if (address === undefined || !/^\d{1,3}$/.test(digits)) throw new OperandError(`${value} is no CIDR`)
  const isWritten6 = value.slice(0, slash).includes(':')
  const given = Number(digits)
  const width = isWritten6 ? 128 : 32
  if (given > width) throw new OperandError(`${value} is no CIDR`)
  // A prefix of an IPv4 address written as IPv6 counts the bits before it.
  const prefix = isWritten6 && address.width === 32 ? given - 96 : given
  if (prefix < 0) return blockOf({ width: 128, value: (0xffffn << 32n) | address.value }, given)
  return blockOf(address, prefix)
}

function blockOf({ width, value }: Address, prefix: number): Block {
  const hostBits = BigInt(width - prefix)
  const first = (value >> hostBits) << hostBits
  return { width, first, last: first | ((1n << hostBits) - 1n), prefix }
}

function contains(block: Block, other: Address | Block): boolean {
  if (block.width !== other.width) return false
  return 'value' in other
    ? block.first <= other.value && other.value <= block.last
    : block.first <= other.first && other.last <= block.last
}

/** Whether a block holds an address or another block whole. @throws OperandError */
export function blockContains(cidr: string, candidate: string): boolean {
  const block = parseBlock(cidr)
  return contains(block, parseAddress(candidate) ?? parseBlock(candidate))
}

/** Whether two blocks have an address in common. @throws OperandError */
export function blocksIntersect(a: string, b: string): boolean {
  const [left, right] = [parseBlock(a), parseBlock(b)]
  return left.width === right.width && left.first <= right.last && right.first <= left.last
}

/** As Go writes an address (RFC 5952). */
export function shown(width: Width, value: bigint): string {
  if (width === 32) return [24n, 16n, 8n, 0n].map((shift) => (value >> shift) & 0xffn).join('.')
  const parts = Array.from({ length: 8 }, (_, index) => Number((value >> BigInt(112 - 16 * index)) & 0xffffn))
  let [best, bestLength] = [-1, 1]
  for (let i = 0; i < 8; i++) {
    let length = 0
    while (i + length < 8 && parts[i + length] === 0) length++
    if (length > bestLength) [best, bestLength] = [i, length]
  }
  const hex = parts.map((part) => part.toString(16))
  if (best === -1) return hex.join(':')
  return `${hex.slice(0, best).join(':')}::${hex.slice(best + bestLength).join(':')}`
}

/** Cidrs of an operand with what they are known by: an array's index, a set's member, an object's key. */
function candidates(value: RegoValue | undefined): [cidr: string, known: RegoValue][] {
  const cidrOf = (item: RegoValue) => text(Array.isArray(item) ? item[0] : item)
  if (typeof value === 'string') return [[value, value]]
  if (Array.isArray(value)) return value.map((item, index) => [cidrOf(item), index])
  if (value instanceof RegoSet) return value.members.map((item) => [cidrOf(item), item])
  if (isAnyObject(value)) return entriesOf(value).map(([key, item]) => [cidrOf(item), key])
  return []
}

/** Beyond this a policy would list addresses to fill the memory. */
const maxExpanded = 1n << 16n

/** The class A, B or C of an IPv4 address, which is the mask OPA takes where none is written. */
function classPrefix(value: bigint): number {
  const top = value >> 24n
  return top < 128n ? 8 : top < 192n ? 16 : 24
}

function mergeable(value: RegoValue): Block {
  const address = parseAddress(text(value))
  if (address === undefined) return parseBlock(text(value))
  if (address.width === 128) throw new OperandError('an IPv6 address needs a prefix')
  const prefix = classPrefix(address.value)
  return { ...blockOf(address, prefix), text: `${shown(32, address.value)}/${prefix}` }
}

function merge(blocks: readonly Block[]): string[] {
  const result: string[] = []
  for (const width of [32, 128] as const) {
    const sorted = blocks
      .filter((block) => block.width === width)
      .sort((a, b) => (a.first < b.first ? -1 : a.first > b.first ? 1 : b.last > a.last ? 1 : -1))
    const ranges: { first: bigint; last: bigint; text: string | undefined }[] = []
    for (const { first, last, text: written } of sorted) {
      const before = ranges.at(-1)
      if (before !== undefined && first <= before.last + 1n) {
        before.text = undefined
        if (last > before.last) before.last = last
      } else ranges.push({ first, last, text: written })
    }
    for (const range of ranges)
      result.push(...(range.text === undefined ? blocksOf(width, range.first, range.last) : [range.text]))
  }
  return result
}

/** The fewest blocks that are exactly this range. */
function blocksOf(width: Width, from: bigint, last: bigint): string[] {
  const result: string[] = []
  let first = from
  while (first <= last) {
    let prefix = width as number
    while (prefix > 0) {
      const size = 1n << BigInt(width - prefix + 1)
      if (first % size !== 0n || first + size - 1n > last) break
      prefix--
    }
    result.push(`${shown(width, first)}/${prefix}`)
    first += 1n << BigInt(width - prefix)
  }
  return result
}

/** The `net.cidr_*` that are not in the module. */
export const networkBuiltins: Family = {
  'net.cidr_is_valid': (_, value) => succeeds(() => parseBlock(text(value))),
  'net.cidr_expand': (_, value) => {
    const { width, first, last } = parseBlock(text(value))
    if (last - first >= maxExpanded) throw new OperandError('too many addresses')
    const addresses: string[] = []
    for (let each = first; each <= last; each++) addresses.push(shown(width, each))
    return setOf(addresses)
  },
  'net.cidr_merge': (_, value) => setOf(merge(collection(value).map(mergeable))),
  'net.cidr_contains_matches': (_, cidrs, others) => {
    const pairs: RegoValue[] = []
    for (const [cidr, known] of candidates(cidrs)) {
      for (const [other, index] of candidates(others)) {
        if (blockContains(cidr, other)) pairs.push([known, index])
      }
    }
    return setOf(pairs)
  },
}
