import type { Exchange } from '#decision/exchange.ts'
import type { Header, Mutations } from '#decision/verdict.ts'
import { ownHeaderPrefix } from './wire/header-options.ts'

export interface HeaderChanges {
  /** Each overwrites every value the client sent. */
  readonly set: readonly Header[]
  /** Never names one of `set`: Envoy's two APIs apply the two lists in different orders. */
  readonly remove: readonly string[]
}

/** What an allowed request carries upstream: the stages' changes, and our own headers in place of a client's. */
export function upstreamHeaders(x: Exchange, mutations: Mutations): HeaderChanges {
  const set: Header[] = [...(mutations.setHeaders ?? []), ['x-sluice-decision-id', x.id]]
  if (x.tenant !== undefined) set.push(['x-sluice-tenant', x.tenant.name])
  const isSet = new Set(set.map(([name]) => name))
  const remove = new Set(mutations.removeHeaders)
  for (const name of x.request.headers.names()) if (name.startsWith(ownHeaderPrefix)) remove.add(name)
  return { set, remove: [...remove].filter((name) => !isSet.has(name)) }
}
