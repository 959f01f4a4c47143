import type { ModelCall, ModelVerb } from '#decision/exchange.ts'
import type { ReasonCode } from '#decision/reasons.ts'
import { isModelName, isModelVersion } from './model-name.ts'

export type ParsedCall =
  | { readonly kind: 'call'; readonly call: ModelCall }
  /** Not a call of this protocol. */
  | { readonly kind: 'other' }
  | { readonly kind: 'refused'; readonly reason: ReasonCode; readonly detail: string }

const suffixes: Readonly<Record<string, ModelVerb>> = {
  infer: 'infer',
  generate: 'generate',
  generate_stream: 'generate_stream',
  ready: 'model_ready',
  config: 'config',
  stats: 'stats',
}

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
  const [, , area, ...rest] = segments
  if (area === undefined || (area === '' && rest.length === 0)) return call('server_metadata')
  switch (area) {
    case 'health':
      if (rest.length === 1 && rest[0] === 'live') return call('server_live')
      if (rest.length === 1 && rest[0] === 'ready') return call('server_ready')
      return refused('no such health check', 'operation_forbidden')
    case 'models':
      return parseModel(rest)
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

function parseModel(segments: readonly string[]): ParsedCall {
  const [model, ...rest] = segments
  if (model === 'stats' && rest.length === 0) return call('stats')
  if (model === undefined || !isModelName(model)) return refused('the model name is not valid')
  let version: string | undefined
  let tail = rest
  if (rest[0] === 'versions') {
    version = rest[1]
    if (version === undefined || !isModelVersion(version)) return refused('the model version is not valid')
    tail = rest.slice(2)
  }
  const named = { model, ...(version !== undefined && { version }) }
  const [suffix, ...extra] = tail
  if (suffix === undefined) return call('metadata', named)
  if (suffix === 'trace' && extra.length === 1) return call('trace', named)
  const verb = Object.hasOwn(suffixes, suffix) ? suffixes[suffix] : undefined
  if (verb === undefined || extra.length > 0)
    return refused(`no such operation: ${tail.join('/')}`, 'operation_forbidden')
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
