import type { AnswerMeter, Metered } from '#decision/usage.ts'
import type { Ask } from '../demand/ask.ts'
import { type Dialect, type DialectName, dialects } from './dialect.ts'
import { GrpcReader } from './grpc-reader.ts'
import { type BodyReader, jsonReader, linesReader, opaqueReader, sseReader, textReader } from './readers.ts'
import { Tally } from './tally.ts'
import { assumedRate, type TokenRates } from './token-rate.ts'

/** JSON documents, a line each. */
const linesType = /^application\/(x-)?(ndjson|jsonl|jsonlines|json-lines)(;|$)/

export interface MeterOptions {
  readonly dialect: DialectName
  readonly ask: () => Ask
  /** Makes the request's body ask for a report; `undefined` where it does, or where nothing is reported. */
  readonly withReport?: () => Uint8Array | undefined
}

/** Who answers. */
export interface Answerer {
  /** Where that is known. */
  readonly model?: string | undefined
  /** What is known of models, and learned of this one. */
  readonly rates: TokenRates
}

/** Measures the answer to one call. */
export function createMeter(options: MeterOptions, answerer: Answerer): AnswerMeter {
  return new Meter(options, answerer)
}

class Meter implements AnswerMeter {
  readonly #options: MeterOptions
  readonly #dialect: Dialect
  readonly #tally = new Tally()
  readonly #model: string | undefined
  readonly #rates: TokenRates
  #isReportOurs = false
  #reader: BodyReader | undefined

  constructor(options: MeterOptions, { model, rates }: Answerer) {
    this.#options = options
    this.#dialect = dialects[options.dialect]
    this.#model = model
    this.#rates = rates
  }

  requestReport(): Uint8Array | undefined {
    const body = this.#options.withReport?.()
    this.#isReportOurs = body !== undefined
    return body
  }

  begin(answer: {
    readonly httpStatus: number
    readonly contentType: string
    readonly contentEncoding: string
  }): void {
    this.#tally.isFailure = answer.httpStatus < 200 || answer.httpStatus > 299
    this.#reader = this.#readerFor(answer.contentType.toLowerCase(), answer.contentEncoding.toLowerCase())
  }

  #readerFor(type: string, encoding: string): BodyReader {
    const tally = this.#tally
    const { dialect } = this.#options
    if (encoding !== '' && encoding !== 'identity') return opaqueReader(tally)
    if (dialect === 'v2-grpc' || dialect === 'v2-grpc-stream') {
      if (type.startsWith('application/grpc-web-text')) return opaqueReader(tally)
      return new GrpcReader(tally, { isStream: dialect === 'v2-grpc-stream', batch: this.#batch() })
    }
    if (type.startsWith('text/event-stream')) return sseReader(this.#dialect, tally, this.#isReportOurs)
    if (linesType.test(type)) return linesReader(this.#dialect, tally)
    // Beside the contents of tensors the JSON has another type.
    if (dialect === 'v2-http' || /^application\/([a-z.]+\+)?json/.test(type))
      return jsonReader(this.#dialect, tally, this.#batch())
    return type.startsWith('text/') ? textReader(tally) : opaqueReader(tally)
  }

  #batch(): number {
    return this.#options.ask().demand.bound.inferences
  }

  feed(chunk: Uint8Array, isEnd: boolean): Uint8Array {
    const tally = this.#tally
    tally.responseOctets += chunk.length
    if (isEnd) tally.isComplete = true
    const given = this.#reader === undefined ? chunk : this.#reader.feed(chunk, isEnd)
    if (isEnd && this.#model !== undefined) tally.teach(this.#rates, this.#model, this.#options.ask())
    return given
  }

  metered(): Metered {
    // Others may have come to their end while this one runs.
    const rate = this.#model === undefined ? assumedRate : this.#rates.of(this.#model)
    return this.#tally.metered(this.#options.ask(), rate)
  }

  farewell(text: string): Uint8Array | undefined {
    const prefix = this.#reader?.farewellPrefix?.()
    const end = this.#dialect.farewell?.(text)
    return prefix === undefined || end === undefined ? undefined : Buffer.from(prefix + end)
  }
}
