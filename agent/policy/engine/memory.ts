export const pageBytes = 65_536

/** Text in and out of a module's linear memory. Its buffer is another one after each growth, hence no view is kept long. */
export class ModuleMemory {
  readonly memory: WebAssembly.Memory
  #bytes: Buffer

  constructor(memory: WebAssembly.Memory) {
    this.memory = memory
    this.#bytes = Buffer.from(memory.buffer)
  }

  /** Pages of 64 KiB that the memory has now. */
  get pages(): number {
    return this.memory.buffer.byteLength / pageBytes
  }

  /** A copy of the first bytes, in memory that threads can share. */
  copy(end: number): Uint8Array {
    const image = new Uint8Array(new SharedArrayBuffer(end))
    image.set(new Uint8Array(this.memory.buffer, 0, end))
    return image
  }

  /** Puts back what {@link copy} gave, from `start` to `end`. */
  restore(image: Uint8Array, start: number, end: number): void {
    new Uint8Array(this.memory.buffer).set(image.subarray(start, end), start)
  }

  /** The zero-terminated UTF-8 text at an address. */
  textAt(address: number): string {
    const bytes = this.#view()
    const end = bytes.indexOf(0, address)
    return bytes.toString('utf8', address, end === -1 ? bytes.length : end)
  }

  /**
   * Writes text from `address` on, growing the memory to hold it and a page beside.
   *
   * @returns its length in bytes.
   * @throws RangeError where the memory may not grow so far.
   */
  write(text: string, address: number): number {
    let bytes = this.#view()
    // Three bytes for each UTF-16 unit is the most that UTF-8 takes: the exact length is only worth counting near the end.
    const isRoomy = address + 3 * text.length + pageBytes <= bytes.length
    if (!isRoomy) {
      this.#grow(address + Buffer.byteLength(text) + pageBytes)
      bytes = this.#view()
    }
    return bytes.write(text, address, 'utf8')
  }

  #grow(neededBytes: number): void {
    const missing = neededBytes - this.memory.buffer.byteLength
    if (missing > 0) this.memory.grow(Math.ceil(missing / pageBytes))
  }

  #view(): Buffer {
    if (this.#bytes.buffer !== this.memory.buffer) this.#bytes = Buffer.from(this.memory.buffer)
    return this.#bytes
  }
}
