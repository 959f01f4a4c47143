/** What is read of a metrics page. */
export type LoadFact =
  | 'queueUs'
  | 'durationUs'
  | 'completed'
  | 'inferences'
  | 'executions'
  | 'pending'
  | 'cacheUse'

interface Meaning {
  readonly fact: LoadFact
  /** From the server's unit to ours. */
  readonly factor: number
  /** The one value of a label that is meant. */
  readonly only?: readonly [label: string, value: string]
}

const plain = (fact: LoadFact, factor = 1): Meaning => ({ fact, factor })

/** Triton's and vLLM's names; newer and older ones of the same thing. */
const meanings: ReadonlyMap<string, Meaning> = new Map([
  ['nv_inference_queue_duration_us', plain('queueUs')],
  ['nv_inference_request_duration_us', plain('durationUs')],
  ['nv_inference_request_success', plain('completed')],
  ['nv_inference_count', plain('inferences')],
  ['nv_inference_exec_count', plain('executions')],
  ['nv_inference_pending_request_count', plain('pending')],
  [
    'nv_trt_llm_kv_cache_block_metrics',
    { fact: 'cacheUse', factor: 1, only: ['kv_cache_block_type', 'fraction'] },
  ],
  ['vllm:request_queue_time_seconds_sum', plain('queueUs', 1e6)],
  ['vllm:e2e_request_latency_seconds_sum', plain('durationUs', 1e6)],
  ['vllm:e2e_request_latency_seconds_count', plain('completed')],
  ['vllm:num_requests_waiting', plain('pending')],
  ['vllm:kv_cache_usage_perc', plain('cacheUse')],
  ['vllm:gpu_cache_usage_perc', plain('cacheUse')],
])

/** One series that has a meaning here. */
export interface LoadSeries extends Meaning {
  readonly model: string
  /** Empty where the server has none. */
  readonly version: string
  /** Finite, not negative, in our unit. */
  readonly value: number
}

/** A page with more lines that are meant for us is read no further. */
const maxSeries = 20_000
const maxLineLength = 4096

/**
 * Reads the series that tell of load out of a page in Prometheus's text format. Whatever is not one of them, or is not in
 * form, is passed over; so is a value that cannot be a count.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
export function readMetricsPage(page: string): LoadSeries[] {
  const found: LoadSeries[] = []
  for (let at = 0; at < page.length && found.length < maxSeries; ) {
    const newline = page.indexOf('\n', at)
    const end = newline === -1 ? page.length : newline
    const first = page.charCodeAt(at)
    // Nearly every line is of another metric, or a comment: names that are ours begin with n or v.
    if ((first === 0x6e || first === 0x76) && end - at <= maxLineLength) {
      const series = readLine(page.slice(at, end))
      if (series !== undefined) found.push(series)
    }
    at = end + 1
  }
  return found
}

function readLine(line: string): LoadSeries | undefined {
  const brace = line.indexOf('{')
  const meaning = brace === -1 ? undefined : meanings.get(line.slice(0, brace))
  if (meaning === undefined) return undefined
  const labels = readLabels(line, brace + 1)
  if (labels === undefined) return undefined
  const { only } = meaning
  if (only !== undefined && labels.values.get(only[0]) !== only[1]) return undefined
  const model = labels.values.get('model') ?? labels.values.get('model_name')
  if (model === undefined) return undefined
  // A timestamp may follow the value.
  const [text = ''] = line.slice(labels.end).trim().split(' ', 1)
  const value = text === '' ? Number.NaN : Number(text) * meaning.factor
  if (!(value >= 0 && value <= Number.MAX_SAFE_INTEGER)) return undefined
  return { ...meaning, model, version: labels.values.get('version') ?? '', value }
}

/** Labels from behind the opening brace, and where the closing one ends; `undefined` where they are not in form. */
function readLabels(
  line: string,
  start: number,
): { readonly values: ReadonlyMap<string, string>; readonly end: number } | undefined {
  const values = new Map<string, string>()
  for (let at = start; at < line.length; ) {
    if (line[at] === '}') return { values, end: at + 1 }
    const equals = line.indexOf('="', at)
    if (equals === -1) return undefined
    const name = line.slice(at, equals).trim()
    let value = ''
    at = equals + 2
    for (; at < line.length && line[at] !== '"'; at++) {
      const isEscaped = line[at] === '\\'
      if (isEscaped) at++
      value += isEscaped && line[at] === 'n' ? '\n' : (line[at] ?? '')
    }
    if (line[at] !== '"' || values.has(name)) return undefined
    values.set(name, value)
    at++
    if (line[at] === ',') at++
    else if (line[at] !== '}') return undefined
  }
  return undefined
}
