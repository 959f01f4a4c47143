/** A text and where in it one is. */
export class Source {
  readonly text: string
  at = 0
  line = 0
  column = 0

  constructor(text: string) {
    this.text = text
  }

  /** The character `ahead` of here, empty behind the end. */
  peek(ahead = 0): string {
    return this.text[this.at + ahead] ?? ''
  }

  /** Moves on inside of a line. */
  skip(count: number): void {
    this.at += count
    this.column += count
  }

  /** Moves behind a line break, where there is one. @returns what it says: CR and NEL say what LF does */
  skipLine(): string {
    const length = breakLength(this)
    if (length === 0) return ''
    const found = this.peek()
    this.at += length
    this.line++
    this.column = 0
    return found === '\u2028' || found === '\u2029' ? found : '\n'
  }

  /** Takes what a sticky pattern finds here, nothing where it finds nothing. */
  take(pattern: RegExp): string {
    pattern.lastIndex = this.at
    const found = pattern.exec(this.text)?.[0] ?? ''
    this.skip(found.length)
    return found
  }
}

export function isBlank(character: string): boolean {
  return character === ' ' || character === '\t'
}

function isBreak(character: string): boolean {
  return (
    character === '\n' ||
    character === '\r' ||
    character === '\u0085' ||
    character === '\u2028' ||
    character === '\u2029'
  )
}

export function isBreakOrEnd(character: string): boolean {
  return character === '' || isBreak(character)
}

export function isBlankOrEnd(character: string): boolean {
  return isBlank(character) || isBreakOrEnd(character)
}

/** Characters of the line break that is here, 0 where there is none. */
export function breakLength(source: Source): number {
  const character = source.peek()
  if (!isBreak(character)) return 0
  return character === '\r' && source.peek(1) === '\n' ? 2 : 1
}

/** `---` or `...` at the start of a line. */
export function isAtDocumentMark(source: Source): boolean {
  if (source.column !== 0) return false
  const mark = source.text.slice(source.at, source.at + 3)
  return (mark === '---' || mark === '...') && isBlankOrEnd(source.peek(3))
}
