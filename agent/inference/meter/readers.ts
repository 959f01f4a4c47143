import { isJsonObject, type JsonValue } from '#base/json.ts'
import type { Dialect } from './dialect.ts'
import { JsonWatch } from './json-watch.ts'
import { isTokenName, outputCount, promptCount, readUsage, sumOf } from './reported.ts'
import { type EventReader, SseStream } from './sse-stream.ts'
import type { Tally } from './tally.ts'
import { type AnswerTensor, readTensors } from './tensor-answer.ts'

/** Reads one answer's body, of one form. */
export interface BodyReader {
  /** @returns what goes on in place of the piece */
  feed(chunk: Uint8Array, isEnd: boolean): Uint8Array
  /** Whether the answer is a stream that may be ended here in its own form; what has to stand before that end. */
  farewellPrefix?(): string
}

/** A `usage` is small; the outputs of a model that reports tokens are too. */
const maxUsageOctets = 16_384
const maxOutputsOctets = 65_536
/** Nor does an event say so more than a few times: of an event that never ends no more is kept. */
const maxReports = 64

const lineFeed = 0x0a

/** One JSON document. What follows it (contents of tensors) is passed over. */
export function jsonReader(dialect: Dialect, tally: Tally, batch: number): BodyReader {
  const watch = new JsonWatch(
    { texts: dialect.texts, values: dialect.values, maxValueOctets: maxOutputsOctets },
    (name, json) => {
      if (name === 'outputs') readJsonOutputs(tally, json, batch)
      else noteValue(tally, name, json)
    },
  )
  return {
    feed: (chunk) => {
      watch.feed(chunk, 0, chunk.length)
      tally.openOctets = watch.textOctets
      return chunk
    },
  }
}

function noteValue(tally: Tally, name: string, json: string): void {
  if (name === 'usage') {
    const usage = readUsage(json)
    if (usage !== undefined) tally.report(usage)
    return
  }
  const tokens = sumOf(parsed(json))
  if (tokens === undefined) return
  if (isTokenName(name)) tally.reportPart(name, tokens)
  else if (name === promptCount) tally.report({ input: tokens })
  else if (name === outputCount) tally.report({ output: tokens })
}

/** A stream of JSON documents with a line each, as Ollama sends them. */
export function linesReader(dialect: Dialect, tally: Tally): BodyReader {
  /** What a document reports applies to its own text too. */
  let values: { readonly name: string; readonly json: string }[] = []
  const watch = new JsonWatch(
    { texts: dialect.streamTexts, values: dialect.values, maxValueOctets: maxUsageOctets },
    (name, json) => {
      if (values.length < maxReports) values.push({ name, json })
    },
  )
  const endLine = () => {
    tally.text(watch.textOctets)
    for (const { name, json } of values) noteValue(tally, name, json)
    values = []
    watch.reset()
  }
  return {
    feed: (chunk, isEnd) => {
      let at = 0
      for (let end = chunk.indexOf(lineFeed); end !== -1; end = chunk.indexOf(lineFeed, at)) {
        watch.feed(chunk, at, end)
        endLine()
        at = end + 1
      }
      watch.feed(chunk, at, chunk.length)
      if (isEnd) endLine()
      return chunk
    },
  }
}

function parsed(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

function readJsonOutputs(tally: Tally, json: string, batch: number): void {
  const outputs = parsed(json)
  if (!Array.isArray(outputs)) return
  const tensors: AnswerTensor[] = []
  for (const output of outputs as readonly JsonValue[]) {
    if (!isJsonObject(output)) return
    const { name, shape, data } = output
    if (typeof name !== 'string' || !Array.isArray(shape)) return
    tensors.push({ name, batch: Number(shape[0] ?? 1), values: () => data })
  }
  readTensors(tally, tensors, batch)
}

/** A stream of events with a JSON document each. */
export function sseReader(dialect: Dialect, tally: Tally, isReportOurs: boolean): BodyReader {
  const events = new JsonEvents(dialect, tally, isReportOurs)
  const stream = new SseStream(events)
  return {
    feed: (chunk, isEnd) => stream.feed(chunk, isEnd),
    // An event that is too long to be held back was begun already.
    farewellPrefix: () => (stream.isAtBorder ? '' : '\n\n'),
  }
}

const endMarker = Buffer.from('[DONE]')
const blank = 0x20

class JsonEvents implements EventReader {
  readonly #tally: Tally
  readonly #isReportOurs: boolean
  readonly #watch: JsonWatch
  #hasUsage = false
  #octets = 0
  #markerOctets = 0
  /** What the event reports applies to its own text too. */
  #values: { readonly name: string; readonly json: string }[] = []

  constructor(dialect: Dialect, tally: Tally, isReportOurs: boolean) {
    this.#tally = tally
    this.#isReportOurs = isReportOurs
    this.#watch = new JsonWatch(
      {
        texts: dialect.streamTexts,
        values: dialect.values,
        nests: ['response', 'message'],
        list: 'choices',
        maxValueOctets: maxUsageOctets,
      },
      (name, json) => {
        if (this.#values.length < maxReports) this.#values.push({ name, json })
        if (name === 'usage' && json.trimStart().startsWith('{')) this.#hasUsage = true
      },
    )
  }

  data(bytes: Uint8Array, start: number, end: number): void {
    for (let at = start; at < end && this.#octets <= endMarker.length; at++) {
      const byte = bytes[at]
      if (byte === blank && this.#octets === 0) continue
      if (byte === endMarker[this.#octets]) this.#markerOctets++
      this.#octets++
    }
    this.#watch.feed(bytes, start, end)
  }

  endEvent(): boolean {
    const tally = this.#tally
    tally.text(this.#watch.textOctets)
    for (const { name, json } of this.#values) noteValue(tally, name, json)
    if (this.#octets === endMarker.length && this.#markerOctets === endMarker.length) tally.isComplete = true
    const isUsageOnly = this.#hasUsage && this.#watch.isListEmpty
    if (this.#values.length > 0) this.#values = []
    this.#hasUsage = false
    this.#octets = 0
    this.#markerOctets = 0
    this.#watch.reset()
    return this.#isReportOurs && isUsageOnly
  }
}

/** Plain text: a transcript. */
export function textReader(tally: Tally): BodyReader {
  return {
    feed: (chunk) => {
      tally.openOctets += chunk.length
      return chunk
    },
  }
}

/** What cannot be read. */
export function opaqueReader(tally: Tally): BodyReader {
  tally.isOpaque = true
  return { feed: (chunk) => chunk }
}
