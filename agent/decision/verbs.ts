import type { ModelVerb } from './exchange.ts'

/** Verbs that have a model compute: they cost work, and their data goes into a model. The others ask about it. */
export const computingVerbs: ReadonlySet<ModelVerb> = new Set([
  'infer',
  'stream_infer',
  'generate',
  'generate_stream',
  'embed',
])
