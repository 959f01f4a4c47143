/** A word of an expression, and where it stands. */
export interface Word {
  readonly kind: 'number' | 'text' | 'name' | 'sign' | 'end'
  readonly text: string
  readonly at: number
}

/** What is wrong with an expression, counted in characters from 1. */
export interface CostFault {
  readonly at: number
  readonly found: string
  readonly expected: string
}

const word =
  /[ \t\n]*(?:(?<number>[0-9]+(?:\.[0-9]+)?)|(?<name>[a-z_]+)|"(?<text>[^"\\\n]*)"|(?<sign><=|>=|==|!=|[-+*/(),<>?:]))/y

/** Cuts an expression into its words; the last is the end. */
export function wordsOf(text: string): readonly Word[] | CostFault {
  const words: Word[] = []
  const end = text.trimEnd().length
  word.lastIndex = 0
  for (let from = 0; from < end; from = word.lastIndex) {
    const { groups } = word.exec(text) ?? {}
    if (groups === undefined) {
      const at = from + (/^[ \t\n]*/.exec(text.slice(from))?.[0].length ?? 0)
      const found = JSON.stringify(text.slice(at, at + 1))
      return { at: at + 1, found, expected: 'a number, a name, a text in quotes or an operator' }
    }
    const [kind, value] = Object.entries(groups).find(([, each]) => each !== undefined) as [
      Exclude<Word['kind'], 'end'>,
      string,
    ]
    const at = word.lastIndex - value.length - (kind === 'text' ? 1 : 0)
    words.push({ kind, text: value, at: at + (kind === 'text' ? 0 : 1) })
  }
  return [...words, { kind: 'end', text: '', at: end + 1 }]
}
