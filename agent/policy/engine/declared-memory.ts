/**
 * Pages that a module says its memory must have at least: its constants lie in them. JavaScript tells what a module imports,
 * but not this.
 *
 * @returns 0 where it imports no memory, or is too broken to tell.
 * @see https://webassembly.github.io/spec/core/binary/modules.html#import-section
 */
export function declaredPages(wasm: Uint8Array): number {
  const reader = new Reader(wasm)
  reader.at = 8
  while (reader.at < wasm.length) {
    const id = reader.byte()
    const end = reader.number() + reader.at
    if (id === 2) return pagesIn(reader)
    reader.at = end
  }
  return 0
}

/** Kinds of imports, by their bytes. */
const kinds = { function: 0, table: 1, memory: 2, global: 3 } as const

function pagesIn(reader: Reader): number {
  for (let left = reader.number(); left > 0; left--) {
    reader.skip(reader.number())
    reader.skip(reader.number())
    switch (reader.byte()) {
      case kinds.function:
        reader.number()
        break
      case kinds.table:
        reader.skip(1)
        if (reader.byte() === 1) reader.number()
        reader.number()
        break
      case kinds.memory:
        reader.byte()
        return reader.number()
      case kinds.global:
        reader.skip(2)
        break
      default:
        return 0
    }
  }
  return 0
}

class Reader {
  readonly #bytes: Uint8Array
  at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  byte(): number {
    return this.#bytes[this.at++] ?? 0
  }

  skip(count: number): void {
    this.at += count
  }

  /** Unsigned LEB128. */
  number(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte()
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) break
    }
    return value
  }
}
