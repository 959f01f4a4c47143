import { HpackFault } from './fault.ts'

/**
 * Length in bits of the code of each octet, as base-36 digits. The code is canonical (ordered by length, then by octet),
 * so the lengths say all.
 *
 * @see RFC 7541, appendix B
 */
const codeLengths =
  'dnsssssssoussussssssssusssssssss6aacd68baa8b8666555666666678f6ca' +
  'd67777777777777777777777878djde6f56565666577666567655677777fbeds' +
  'kmkkmmmnmnnnnnonoomnonnnnlmnmnnomlkmmnnlnmmolmnnllmlnmnnkmmmnmmn' +
  'qqkjmnmpqqqrrqopjlqrrqrollqqsrrrkoklmllnmmppooqnqrqqrrrrrsrrrrrq'
const endOfString = 256
const endOfStringBits = 30

/** What the next four bits of a string lead to from one node of the code's tree. */
interface Steps {
  /** The node that follows, 16 for each node; -1 where the bits are no code. */
  readonly next: Int16Array
  /** The octet that is complete within these bits, or -1. No code is shorter than five bits, so there is one at most. */
  readonly octet: Int16Array
  /** Whether a string may end at the node: at most seven bits since the last octet, all ones (§5.2). */
  readonly mayEnd: Uint8Array
}

const steps = buildSteps()

/**
 * Decodes a Huffman string of the octets `from`..`to` into Latin-1 text.
 *
 * @throws HpackFault for a code that does not exist, the end-of-string symbol, and padding that is no padding.
 * @see RFC 7541, §5.2
 */
export function decodeHuffman(bytes: Uint8Array, from: number, to: number): string {
  const { next, octet, mayEnd } = steps
  let text = ''
  let node = 0
  for (let at = from; at < to; at++) {
    const byte = bytes[at] as number
    for (const nibble of [byte >> 4, byte & 15]) {
      const step = node * 16 + nibble
      const symbol = octet[step] as number
      if (symbol >= 0) text += String.fromCharCode(symbol)
      node = next[step] as number
      if (node < 0) throw new HpackFault('a Huffman code that does not exist')
    }
  }
  if (mayEnd[node] !== 1) throw new HpackFault('a Huffman string with wrong padding')
  return text
}

function buildSteps(): Steps {
  // The tree: two children a node, the negative number of a symbol (minus one) for a leaf.
  const children: [number, number][] = [[0, 0]]
  const lengths = [...codeLengths].map((digit) => Number.parseInt(digit, 36))
  lengths.push(endOfStringBits)
  const ordered = lengths
    .map((length, symbol) => ({ length, symbol }))
    .sort((a, b) => a.length - b.length || a.symbol - b.symbol)
  let code = 0
  let before = 0
  for (const { length, symbol } of ordered) {
    code *= 2 ** (length - before)
    before = length
    let node = 0
    for (let bit = length - 1; bit >= 0; bit--) {
      const side = Math.floor(code / 2 ** bit) % 2
      const pair = children[node] as [number, number]
      if (bit === 0) pair[side] = -symbol - 1
      else {
        if (pair[side] === 0) pair[side] = children.push([0, 0]) - 1
        node = pair[side] as number
      }
    }
    code++
  }
  const next = new Int16Array(children.length * 16)
  const octet = new Int16Array(children.length * 16).fill(-1)
  for (let start = 0; start < children.length; start++) {
    for (let nibble = 0; nibble < 16; nibble++) {
      let node = start
      for (let bit = 3; bit >= 0 && node >= 0; bit--) {
        const child = (children[node] as [number, number])[(nibble >> bit) & 1] as number
        if (child >= 0) node = child
        else if (-child - 1 === endOfString) node = -1
        else {
          octet[start * 16 + nibble] = -child - 1
          node = 0
        }
      }
      next[start * 16 + nibble] = node
    }
  }
  const mayEnd = new Uint8Array(children.length)
  for (let ones = 0, node = 0; ones <= 7; ones++) {
    mayEnd[node] = 1
    node = (children[node] as [number, number])[1]
  }
  return { next, octet, mayEnd }
}
