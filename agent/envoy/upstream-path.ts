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
 * Sets and removes query parameters as Envoy's ext_authz does: of one that is set twice the last counts, and the query is
 * written anew in the order of the names. Unlike there, a parameter that the client wrote with escapes is the same parameter.
 */
function withQuery(path: string, set: readonly Header[], remove: readonly string[]): string {
  const mark = path.indexOf('?')
  const bare = mark === -1 ? path : path.slice(0, mark)
  const values = new Map(set)
  const gone = new Set([...values.keys(), ...remove])
  const pairs: Header[] = []
  for (const pair of (mark === -1 ? '' : path.slice(mark + 1)).split('&')) {
    const equals = pair.indexOf('=')
    const name = equals === -1 ? pair : pair.slice(0, equals)
    if (pair !== '' && !gone.has(name) && !gone.has(unescaped(name)))
      pairs.push([name, equals === -1 ? '' : pair.slice(equals + 1)])
  }
  for (const [name, value] of values) pairs.push([escaped(name), escaped(value)])
  const query = pairs
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
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
