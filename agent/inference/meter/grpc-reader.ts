import { readField } from '../protobuf-field.ts'
import { contentValues, rawValues } from '../tensor-values.ts'
import { type MessageInput, readInput } from '../tensors.ts'
import { HeldBytes } from './held-bytes.ts'
import type { BodyReader } from './readers.ts'
import type { Tally } from './tally.ts'
import { readTensors } from './tensor-answer.ts'

const frameHeaderOctets = 5
const compressedFlag = 1
/** Of grpc-web: the frame holds trailers. */
const trailersFlag = 0x80
/** A field that is longer holds data; its contents are passed over. */
const maxFieldOctets = 4096
const maxOutputs = 256
const lengthDelimited = 2

/** Fields of ModelInferResponse, and of the message around it in a stream. */
const outputsField = 5
const rawField = 6
const errorField = 1
const responseField = 2

/** One output of the answer that is passing. */
interface Output {
  readonly input: MessageInput
  values: readonly (number | string)[] | undefined
}

/**
 * Reads the answers of ModelInfer, or with `isStream` of ModelStreamInfer, frame by frame and field by field. Keeps nothing
 * but the descriptions of one answer's outputs.
 */
export class GrpcReader implements BodyReader {
  readonly #tally: Tally
  readonly #batch: number
  readonly #isStream: boolean
  readonly #header = new HeldBytes()
  /** The tag and length of a field, and its contents where they are wanted. */
  readonly #field = new HeldBytes()
  /** Octets of the frame, of its inner message and of the field still to come. */
  #frameLeft = 0
  #innerLeft = 0
  #skipLeft = 0
  #wantedLeft = 0
  #wanted = 0
  #isInner = false
  #isReadable = false
  /** What the message in a stream has so far. */
  #hasAnswer = false
  #hasError = false
  #outputs: Output[] = []
  #raws = 0

  constructor(tally: Tally, options: { readonly isStream: boolean; readonly batch: number }) {
    this.#tally = tally
    this.#isStream = options.isStream
    this.#batch = options.batch
    // Without an answer nothing was inferred.
    tally.inferences = 0
  }

  feed(chunk: Uint8Array): Uint8Array {
    let at = 0
    while (at < chunk.length) {
      if (this.#frameLeft === 0) at = this.#frameHeader(chunk, at)
      else if (!this.#isReadable) at += this.#consume(Math.min(this.#frameLeft, chunk.length - at))
      else at = this.#message(chunk, at)
      if (this.#frameLeft === 0 && this.#isReadable) this.#endMessage()
    }
    return chunk
  }

  #frameHeader(chunk: Uint8Array, at: number): number {
    const end = Math.min(chunk.length, at + frameHeaderOctets - this.#header.length)
    this.#header.append(chunk, at, end)
    if (this.#header.length < frameHeaderOctets) return end
    const header = this.#header.view()
    const flag = header.readUInt8(0)
    this.#frameLeft = header.readUInt32BE(1)
    this.#header.clear()
    this.#isReadable = flag === 0
    if ((flag & compressedFlag) !== 0 && flag < trailersFlag) {
      this.#tally.isOpaque = true
      this.#tally.inferences = undefined
    }
    this.#isInner = !this.#isStream
    this.#innerLeft = this.#isStream ? 0 : this.#frameLeft
    this.#hasAnswer = !this.#isStream
    this.#hasError = false
    this.#outputs = []
    this.#raws = 0
    this.#field.clear()
    return end
  }

  #consume(octets: number): number {
    this.#frameLeft -= octets
    if (this.#isInner) this.#innerLeft -= octets
    if (this.#isStream && this.#isInner && this.#innerLeft <= 0) this.#isInner = false
    return octets
  }

  #message(chunk: Uint8Array, at: number): number {
    if (this.#skipLeft > 0) {
      const skipped = Math.min(this.#skipLeft, chunk.length - at)
      this.#skipLeft -= skipped
      return at + this.#consume(skipped)
    }
    if (this.#wantedLeft > 0) {
      const end = at + Math.min(this.#wantedLeft, chunk.length - at)
      this.#field.append(chunk, at, end)
      this.#wantedLeft -= end - at
      const isInner = this.#isInner
      this.#consume(end - at)
      if (this.#wantedLeft === 0) this.#endField(isInner)
      return end
    }
    this.#field.append(chunk, at, at + 1)
    // What is left of the message that the field is in, the octet that was just taken not counted.
    const limit = (this.#isInner ? this.#innerLeft : this.#frameLeft) - 1
    const wasInner = this.#isInner
    this.#consume(1)
    this.#tag(limit, wasInner)
    return at + 1
  }

  /** Looks whether the tag and the length of a field are there. */
  #tag(left: number, isInner: boolean): void {
    const seen = this.#field.view()
    const field = readField(seen, 0, seen.length + left)
    if (field === 'short' && left > 0) return
    if (typeof field === 'string') {
      this.#isReadable = false
      // Nobody can tell what it was, but something was answered.
      this.#sawAnswer()
      return
    }
    const octets = field.end - seen.length
    const { number, wireType } = field
    this.#field.clear()
    if (wireType !== lengthDelimited) {
      this.#skipLeft = octets
      return
    }
    if (isInner && (number === outputsField || number === rawField)) {
      this.#wanted = number
      if (octets > maxFieldOctets || octets === 0) {
        this.#skipLeft = octets
        this.#noteLarge(octets)
      } else this.#wantedLeft = octets
    } else if (!isInner && number === responseField) {
      this.#isInner = octets > 0
      this.#innerLeft = octets
      this.#hasAnswer = true
    } else {
      if (!isInner && number === errorField && octets > 0) this.#hasError = true
      this.#skipLeft = octets
    }
  }

  #sawAnswer(): void {
    if (this.#tally.inferences !== undefined) this.#tally.inferences = Math.max(1, this.#tally.inferences)
  }

  /** A field of which only the length is known. An output whose shape was not read may be one of the batch. */
  #noteLarge(octets: number): void {
    if (this.#wanted === rawField) return this.#noteRaw(undefined, octets)
    this.#addOutput({ name: '', datatype: '', shape: [this.#batch], contents: undefined })
  }

  #addOutput(input: MessageInput): void {
    if (this.#outputs.length < maxOutputs) this.#outputs.push({ input, values: undefined })
  }

  #noteRaw(bytes: Buffer | undefined, octets: number): void {
    const output = this.#outputs[this.#raws++]
    if (output === undefined) return
    const { datatype } = output.input
    if (datatype === 'BYTES') this.#text(textOctets(output.input, octets))
    else if (bytes !== undefined) output.values = rawValues(datatype, bytes)
  }

  /** An answer that is one message is no piece of a stream. */
  #text(octets: number): void {
    if (this.#isStream) this.#tally.text(octets)
    else this.#tally.openOctets += octets
  }

  #endField(isInner: boolean): void {
    const bytes = this.#field.take()
    if (!isInner) return
    if (this.#wanted === rawField) return this.#noteRaw(bytes, bytes.length)
    const input = readInput(bytes, 0, bytes.length)
    if (input === undefined) return
    this.#addOutput(input)
    const { contents, datatype } = input
    if (contents === undefined) return
    const output = this.#outputs.at(-1) as Output
    const values = contentValues(bytes.subarray(contents.start, contents.end))
    output.values = values
    if (datatype === 'BYTES') this.#text(contents.end - contents.start)
  }

  #endMessage(): void {
    this.#isReadable = false
    // Beside an error Triton sends an answer that is empty.
    if (this.#hasError || !this.#hasAnswer) return
    this.#sawAnswer()
    readTensors(
      this.#tally,
      this.#outputs.map(({ input, values }) => ({
        name: input.name,
        batch: input.shape[0] ?? 1,
        values: () => values,
      })),
      this.#batch,
    )
  }
}

/** Raw texts stand behind their lengths, of four octets each. */
function textOctets({ shape }: MessageInput, octets: number): number {
  const elements = shape.reduce((product, size) => product * Math.max(0, size), 1)
  return Math.max(0, octets - 4 * elements)
}
