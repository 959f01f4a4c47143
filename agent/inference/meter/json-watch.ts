/** What to look for in JSON. */
export interface WatchedNames {
  /** Members whose texts are counted, wherever they stand; in a list too. */
  readonly texts: readonly string[]
  /** Members whose values are read, in the outermost object or directly in one of `nests`. */
  readonly values: readonly string[]
  readonly nests?: readonly string[]
  /** A list of the outermost object of which it is told whether it is empty. */
  readonly list?: string
  readonly maxValueOctets: number
}

interface Name {
  readonly text: string
  readonly octets: Buffer
  readonly isText: boolean
  readonly isValue: boolean
  readonly isNest: boolean
  readonly isList: boolean
}

const quote = 0x22
const comma = 0x2c
const colon = 0x3a
const listStart = 0x5b
const backslash = 0x5c
const listEnd = 0x5d
const objectStart = 0x7b
const objectEnd = 0x7d
/** Of deeper containers the kind is not kept; nothing of interest stands there. */
const keptDepth = 64
const maxNameOctets = 32

/**
 * Reads JSON as it comes, octet by octet, and keeps nothing of it but the few values that are wanted. It does not judge: of
 * what is no JSON it makes something or nothing.
 */
export class JsonWatch {
  /** Octets of the texts so far, as they are written. */
  textOctets = 0
  /** Whether `list` was there and had nothing in it. */
  isListEmpty = false
  readonly #names: readonly (readonly Name[])[]
  readonly #maxValueOctets: number
  readonly #onValue: (name: string, json: string) => void
  readonly #isObject = new Uint8Array(keptDepth)
  readonly #name = Buffer.alloc(maxNameOctets)
  #nameOctets = 0
  #depth = 0
  #isOver = false
  #isInString = false
  #isEscaped = false
  #isNameNext = false
  #isName = false
  #current: Name | undefined
  #isNested = false
  #isListOpen = false
  #capture: { readonly name: string; readonly depth: number; octets: number; parts: Buffer[] } | undefined

  constructor(watched: WatchedNames, onValue: (name: string, json: string) => void) {
    const { texts, values, nests = [], list, maxValueOctets } = watched
    const byLength: Name[][] = Array.from({ length: maxNameOctets + 1 }, () => [])
    for (const text of new Set([...texts, ...values, ...nests, ...(list === undefined ? [] : [list])])) {
      byLength[text.length]?.push({
        text,
        octets: Buffer.from(text),
        isText: texts.includes(text),
        isValue: values.includes(text),
        isNest: nests.includes(text),
        isList: text === list,
      })
    }
    this.#names = byLength
    this.#maxValueOctets = maxValueOctets
    this.#onValue = onValue
  }

  /** Begins with a new text. */
  reset(): void {
    this.textOctets = 0
    this.isListEmpty = false
    this.#depth = 0
    this.#isOver = false
    this.#isInString = false
    this.#isEscaped = false
    this.#isNameNext = false
    this.#current = undefined
    this.#isNested = false
    this.#isListOpen = false
    this.#capture = undefined
  }

  /** Whether the text has ended; what follows is passed over. */
  get isOver(): boolean {
    return this.#isOver
  }

  feed(bytes: Uint8Array, start: number, end: number): void {
    let captured = start
    let at = start
    while (at < end && !this.#isOver) {
      if (this.#isInString) {
        at = this.#string(bytes, at, end)
        continue
      }
      const byte = bytes[at] as number
      at++
      if (byte <= 0x20) continue
      if (this.#isListOpen) {
        this.#isListOpen = false
        this.isListEmpty = byte === listEnd
      }
      switch (byte) {
        case quote:
          this.#isInString = true
          this.#isName = this.#isNameNext
          this.#nameOctets = 0
          break
        case colon:
          if (!this.#isNameNext) break
          this.#isNameNext = false
          this.#current = this.#lookUp()
          if (this.#beginsValue()) captured = at
          break
        case comma:
          this.#endValue(bytes, captured, at - 1)
          if (this.#isInObject()) {
            this.#isNameNext = true
            this.#current = undefined
          }
          break
        case objectStart:
        case listStart:
          this.#open(byte === objectStart)
          break
        case objectEnd:
        case listEnd:
          this.#endValue(bytes, captured, at - 1)
          this.#close()
          break
        default:
      }
    }
    this.#keep(bytes, captured, Math.min(at, end))
  }

  /** Goes on in a string, to its end or that of the bytes. */
  #string(bytes: Uint8Array, start: number, end: number): number {
    let at = start
    let isEscaped = this.#isEscaped
    let stop = end
    for (; at < end; at++) {
      const byte = bytes[at]
      if (isEscaped) isEscaped = false
      else if (byte === backslash) isEscaped = true
      else if (byte === quote) {
        stop = at
        this.#isInString = false
        break
      }
    }
    this.#isEscaped = isEscaped
    if (this.#isName) {
      for (let from = start; from < stop; from++, this.#nameOctets++)
        if (this.#nameOctets < maxNameOctets) this.#name[this.#nameOctets] = bytes[from] as number
    } else if (this.#current?.isText === true) this.textOctets += stop - start
    return this.#isInString ? end : stop + 1
  }

  #lookUp(): Name | undefined {
    const candidates = this.#names[this.#nameOctets]
    if (candidates === undefined) return undefined
    for (const candidate of candidates) {
      const { octets } = candidate
      let at = 0
      while (at < octets.length && octets[at] === this.#name[at]) at++
      if (at === octets.length) return candidate
    }
    return undefined
  }

  #isInObject(): boolean {
    return this.#depth > 0 && (this.#depth > keptDepth || this.#isObject[this.#depth - 1] === 1)
  }

  #beginsValue(): boolean {
    if (this.#current?.isValue !== true || this.#capture !== undefined) return false
    if (this.#depth !== 1 && !(this.#depth === 2 && this.#isNested)) return false
    this.#capture = { name: this.#current.text, depth: this.#depth, octets: 0, parts: [] }
    return true
  }

  /** At a comma or an end: the value that is being kept may be whole. */
  #endValue(bytes: Uint8Array, start: number, end: number): void {
    if (this.#capture?.depth !== this.#depth) return
    this.#keep(bytes, start, end)
    const { name, parts, octets } = this.#capture
    this.#capture = undefined
    if (octets <= this.#maxValueOctets) this.#onValue(name, Buffer.concat(parts).toString())
  }

  #keep(bytes: Uint8Array, start: number, end: number): void {
    const capture = this.#capture
    if (capture === undefined) return
    capture.octets += end - start
    if (capture.octets > this.#maxValueOctets) capture.parts = []
    // The bytes are somebody else's again soon.
    else capture.parts.push(Buffer.from(bytes.subarray(start, end)))
  }

  #open(isObject: boolean): void {
    if (this.#depth === 1) {
      this.#isNested = isObject && this.#current?.isNest === true
      this.#isListOpen = !isObject && this.#current?.isList === true
    }
    if (this.#depth < keptDepth) this.#isObject[this.#depth] = isObject ? 1 : 0
    this.#depth++
    this.#isNameNext = isObject
    if (isObject) this.#current = undefined
  }

  #close(): void {
    this.#isNameNext = false
    if (this.#depth === 0) return
    this.#depth--
    if (this.#depth <= 1) this.#isNested = false
    if (this.#depth === 0) this.#isOver = true
  }
}
