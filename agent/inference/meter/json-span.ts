/** Where something stands in a text. */
export interface Span {
  readonly start: number
  readonly end: number
}

export type MemberSpan =
  | ({ readonly kind: 'found' } & Span)
  /** Not there; `start` is where the first member stands, or would. */
  | { readonly kind: 'absent'; readonly start: number; readonly isEmpty: boolean }
  /** A member has this name, but for its case: some readers would take it for the one looked for. */
  | { readonly kind: 'other_case' }

/** Finds the value of a member in text that is known to be JSON. @param open where the object's brace stands */
export function spanOf(text: string, open: number, name: string): MemberSpan {
  const first = afterBlanks(text, open + 1)
  if (text[first] === '}') return { kind: 'absent', start: first, isEmpty: true }
  let at = first
  let found: MemberSpan = { kind: 'absent', start: first, isEmpty: false }
  while (text[at] === '"') {
    const nameEnd = stringEnd(text, at)
    const said = JSON.parse(text.slice(at, nameEnd)) as string
    const start = afterBlanks(text, afterBlanks(text, nameEnd) + 1)
    const end = valueEnd(text, start)
    if (said === name) found = { kind: 'found', start, end }
    else if (said.toLowerCase() === name) return { kind: 'other_case' }
    at = afterBlanks(text, end)
    if (text[at] !== ',') break
    at = afterBlanks(text, at + 1)
  }
  return found
}

function afterBlanks(text: string, from: number): number {
  let at = from
  while (at < text.length && text.charCodeAt(at) <= 0x20) at++
  return at
}

/** Behind the closing quote. */
function stringEnd(text: string, quote: number): number {
  let at = quote + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at + 1
}

/** Behind a value, of whatever kind. */
function valueEnd(text: string, start: number): number {
  let depth = 0
  let at = start
  while (at < text.length) {
    const character = text[at]
    if (character === '"') {
      at = stringEnd(text, at)
      if (depth === 0) return at
      continue
    }
    if (character === '{' || character === '[') depth++
    else if (character === '}' || character === ']') {
      if (depth === 0) return at
      depth--
      if (depth === 0) return at + 1
    } else if (depth === 0 && (character === ',' || text.charCodeAt(at) <= 0x20)) return at
    at++
  }
  return at
}
