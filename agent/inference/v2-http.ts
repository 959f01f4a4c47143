import type { ModelCall, ModelVerb } from '#decision/exchange.ts'
import type { ReasonCode } from '#decision/reasons.ts'
import type { Computation } from './computation.ts'
import { isModelName, isModelVersion } from './model-name.ts'

export type ParsedCall =
  | {
      readonly kind: 'call'
      readonly call: ModelCall
      /** What the call asks for and how its answer is measured, where whoever read it knows. */
      readonly computation?: Computation
    }
  /** Not a call of this protocol. */
  | { readonly kind: 'other' }
  | { readonly kind: 'refused'; readonly reason: ReasonCode; readonly detail: string }

const suffixes: ReadonlyMap<string, ModelVerb> = new Map([
  ['infer', 'infer'],
  ['generate', 'generate'],
  ['generate_stream', 'generate_stream'],
  ['ready', 'model_ready'],
  ['config', 'config'],
  ['stats', 'stats'],
])

const refused = (detail: string, reason: ReasonCode = 'model_name_invalid'): ParsedCall => ({
  kind: 'refused',
  reason,
  detail,
})
const call = (verb: ModelVerb, more: Partial<ModelCall> = {}): ParsedCall => ({
  kind: 'call',
  call: { protocol: 'v2-http', verb, ...more },
})

/**
 * Reads a canonical path of the KServe V2 protocol and Triton's extensions.
 *
 * @param path without its query
 * @see https://github.com/kserve/open-inference-protocol, and Triton's protocol extensions
 */
export function parseV2Http(path: string): ParsedCall {
  const segments = path.split('/')
  if (segments[1] !== 'v2') return { kind: 'other' }
  // By index, here and below: taking the list apart again and again costs 1 µs more (`bench -- authz`).
  const area = segments[2]
  if (area === undefined || (area === '' && segments.length === 3)) return call('server_metadata')
  switch (area) {
    case 'health':
      if (segments.length === 4 && segments[3] === 'live') return call('server_live')
      if (segments.length === 4 && segments[3] === 'ready') return call('server_ready')
      return refused('no such health check', 'operation_forbidden')
    case 'models':
      return parseModel(segments)
    case 'repository':
      return call('repository')
    case 'systemsharedmemory':
    case 'cudasharedmemory':
      return call('shared_memory')
    case 'trace':
      return call('trace')
    case 'logging':
      return call('logging')
    default:
      return refused(`no such area: ${area}`, 'operation_forbidden')
  }
}

/** What follows `/v2/models`. */
function parseModel(segments: readonly string[]): ParsedCall {
  const model = segments[3]
  if (model === 'stats' && segments.length === 4) return call('stats')
  if (model === undefined || !isModelName(model)) return refused('the model name is not valid')
  let version: string | undefined
  let at = 4
  if (segments[at] === 'versions') {
    version = segments[5]
    if (version === undefined || !isModelVersion(version)) return refused('the model version is not valid')
    at = 6
  }
  const named = version === undefined ? { model } : { model, version }
  const suffix = segments[at]
  if (suffix === undefined) return call('metadata', named)
  if (suffix === 'trace' && segments.length === at + 2) return call('trace', named)
  const verb = suffixes.get(suffix)
  if (verb === undefined || segments.length > at + 1)
    return refused(`no such operation: ${segments.slice(at).join('/')}`, 'operation_forbidden')
  return call(verb, named)
}

/**
 * The path with the version put in, the query kept. A path that names a version already is given back as it is.
 *
 * @param path a V2 path of a model, with its query
 */
export function pinPathVersion(path: string, version: string): string {
  return path.replace(/^(\/v2\/models\/[^/?]+)(?!\/versions\/)(?=[/?]|$)/, `$1/versions/${version}`)
}
