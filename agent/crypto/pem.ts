import { decodeBase64 } from './base64.ts'

export interface PemBlock {
  /** What follows `BEGIN`, `CERTIFICATE`. */
  readonly type: string
  readonly bytes: Buffer
}

const begin = '-----BEGIN '
const end = '\n-----END '
const dashes = '-----'

/**
 * The next block of a PEM text and what follows it, as Go's `pem.Decode` finds them: whatever is no block is passed over.
 * Linear in what is read, for each END line is looked at once.
 *
 * @see RFC 7468
 */
export function nextPemBlock(text: string): { readonly block: PemBlock; readonly rest: string } | undefined {
  let at = 0
  for (;;) {
    const endAt = text.indexOf(end, at)
    if (endAt === -1) return undefined
    const afterEnd = endAt + end.length
    // The last BEGIN before it, so that one without an END does no harm; in a slice, so that no text is searched twice.
    const beginAt = text.slice(at, endAt).lastIndexOf(begin)
    const isLineStart = beginAt === 0 || text[at + beginAt - 1] === '\n'
    const blockAt = at + beginAt + begin.length
    at = afterEnd
    if (beginAt === -1 || !isLineStart) continue
    const found = blockAtLine(text, blockAt, endAt)
    if (found === 'none') return undefined
    if (found !== undefined) return found
  }
}

/** Reads the block whose type starts at `from`. `none` ends the search, as a header without an end does in Go. */
function blockAtLine(text: string, from: number, endAt: number): ReturnType<typeof nextPemBlock> | 'none' {
  const typeLine = lineAt(text, from)
  if (!typeLine.line.endsWith(dashes)) return undefined
  const type = typeLine.line.slice(0, -dashes.length)
  let at = typeLine.next
  let hasHeaders = false
  for (;;) {
    if (at >= text.length) return 'none'
    const { line, next } = lineAt(text, at)
    if (!line.includes(':')) break
    hasHeaders = true
    at = next
  }
  // Headers must end before the END line does begin; one that swallowed it ends the search.
  if (hasHeaders && endAt < at) return at > endAt + end.length ? 'none' : undefined
  const trailer = text.slice(endAt + end.length, endAt + end.length + type.length + dashes.length)
  if (trailer !== type + dashes) return undefined
  const lastLine = lineAt(text, endAt + end.length + trailer.length)
  if (lastLine.line !== '') return undefined
  let bytes: Buffer
  try {
    bytes = decodeBase64(text.slice(at, endAt).replace(/[ \t]+/g, ''), 'standard', 'padded')
  } catch {
    // Not a block after all; the next END line may close one.
    return undefined
  }
  return { block: { type, bytes }, rest: text.slice(lastLine.next) }
}

/** One block of PEM. @see RFC 7468, 2 */
export function encodePem(type: string, bytes: Uint8Array): string {
  const text = Buffer.from(bytes)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n')
  return `${begin}${type}${dashes}\n${text}${end}${type}${dashes}\n`
}

/** A line without its end and the blanks before that. */
function lineAt(text: string, from: number): { readonly line: string; readonly next: number } {
  const newline = text.indexOf('\n', from)
  let stop = newline === -1 ? text.length : newline
  if (newline > from && text[newline - 1] === '\r') stop--
  while (stop > from && (text[stop - 1] === ' ' || text[stop - 1] === '\t')) stop--
  return { line: text.slice(from, stop), next: newline === -1 ? text.length : newline + 1 }
}
