import type { JsonValue } from '#base/json.ts'
import type { Prepared } from '../prepared.ts'

/** What a thread is started with. */
export interface ThreadData {
  readonly prepared: Prepared
}

/** One evaluation. Values of Rego cross as Rego text: their classes would not survive the way. */
export interface Ask {
  readonly entrypoint: string
  /** JSON, or nothing for no input at all. */
  readonly input: string | undefined
  readonly nowNs: bigint
  readonly runtime: string | undefined
  readonly isRecorded: boolean
}

/** By builtin, by the text of its operands, the text of its result. */
export type RecordedTexts = readonly (readonly [
  name: string,
  calls: readonly (readonly [operands: string, result: string])[],
])[]

/** From the thread: that it is ready, or what came of the one evaluation that it was asked for. */
export type Told =
  | { readonly kind: 'ready' }
  | { readonly kind: 'result'; readonly result: JsonValue | undefined; readonly recorded: RecordedTexts }
  | { readonly kind: 'failed'; readonly message: string; readonly recorded: RecordedTexts }
