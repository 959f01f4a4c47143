/** Reads from the front; each step takes what it knows and never looks back. */
class AddressReader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  get isAtEnd(): boolean {
    return this.#at === this.#text.length
  }

  takes(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at
    if (!pattern.test(this.#text)) return false
    this.#at = pattern.lastIndex
    return true
  }

  /** Blanks and comments in parentheses, one in the other. */
  skip(): boolean {
    for (;;) {
      this.takes(/[ \t]*/y)
      if (this.#text[this.#at] !== '(') return true
      let depth = 0
      do {
        const character = this.#text[this.#at++]
        if (character === undefined) return false
        if (character === '\\') this.#at++
        else if (character === '(') depth++
        else if (character === ')') depth--
      } while (depth > 0)
    }
  }

  back<T>(read: () => T | false): T | false {
    const from = this.#at
    const found = read()
    if (found === false) this.#at = from
    return found
  }
}

const dotAtom = /[\w!#$%&'*+\-/=?^`{|}~\u0080-\uffff]+(?:\.[\w!#$%&'*+\-/=?^`{|}~\u0080-\uffff]+)*/y
/** In a name dots may stand anywhere. */
const loose = /[\w!#$%&'*+\-/=?^`{|}~.\u0080-\uffff]+/y
const quoted = /"(?:[\t !#-[\]-~\u0080-\uffff]|\\[\t -~\u0080-\uffff])*"/y
const literal = /\[[!-Z^-~]*\]/y

function takesMailbox(reader: AddressReader): boolean {
  if (!reader.takes(quoted) && !reader.takes(dotAtom)) return false
  reader.skip()
  if (!reader.takes(/@/y)) return false
  reader.skip()
  return reader.takes(literal) || reader.takes(dotAtom)
}

/** One address, with a name before it or without, as Go's `net/mail` takes it. @see RFC 5322, section 3.4 */
export function isMailAddress(value: string): boolean {
  const reader = new AddressReader(value)
  reader.takes(/[ \t]*/y)
  const isBare = reader.back(() => takesMailbox(reader) && reader.skip() && reader.isAtEnd)
  if (isBare) return true
  while (reader.takes(quoted) || reader.takes(loose)) {
    if (!reader.skip()) return false
  }
  if (!reader.takes(/</y)) return false
  return takesMailbox(reader) && reader.takes(/>/y) && reader.skip() && reader.isAtEnd
}
