import type { Exchange } from '#decision/exchange.ts'
import type { Header, Mutations } from '#decision/verdict.ts'
import { pinPathVersion } from '#inference/inference.ts'

/** The `:path` an allowed request carries upstream: the version put in, the query as the stages want it. */
export function upstreamPath(x: Exchange, mutations: Mutations): string {
  const { modelVersion, setQuery = [], removeQuery = [] } = mutations
  const isInPath = modelVersion !== undefined && x.call?.protocol === 'v2-http'
  const path = isInPath ? pinPathVersion(x.request.path, modelVersion) : x.request.path
  return setQuery.length === 0 && removeQuery.length === 0 ? path : withQuery(path, setQuery, removeQuery)
}

/**
 * Sets and removes query parameters; of one that is set twice the last counts, as in Envoy's ext_authz. A parameter
 * that the client wrote with escapes is the same parameter.
 */
function withQuery(path: string, set: readonly Header[], remove: readonly string[]): string {
  const mark = path.indexOf('?')
  const bare = mark === -1 ? path : path.slice(0, mark)
  const values = new Map(set)
  const gone = new Set([...values.keys(), ...remove])
  const kept = (mark === -1 ? '' : path.slice(mark + 1))
    .split('&')
    .filter((pair) => pair !== '' && !gone.has(unescaped(pair.split('=', 1)[0] ?? '')))
  const added = [...values].map(([name, value]) => `${escaped(name)}=${escaped(value)}`)
  const query = [...kept, ...added].join('&')
  return query === '' ? bare : `${bare}?${query}`
}

function unescaped(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '))
  } catch {
    // Not an escape, so nobody reads another name in it.
    return name
  }
}

/** Escapes what would end the parameter; escapes that a policy wrote itself are left as they are. */
function escaped(text: string): string {
  return text.toWellFormed().replace(/[^A-Za-z0-9\-._~!$'()*+,;:@/?%]/gu, encodeURIComponent)
}
