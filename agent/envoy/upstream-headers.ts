import type { Exchange } from '#decision/exchange.ts'
import { ownHeaderPrefix } from '#decision/own-headers.ts'
import type { Header, Mutations } from '#decision/verdict.ts'
import { isMetered } from './metered-answer.ts'

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
  // Nearly always there is nothing to remove, and two sets would be made for it (`bench -- authz`).
  const { removeHeaders = none } = mutations
  const spoken = x.canonical?.withheld ?? ownNames(x.request.headers.names())
  const unreadable = x.request.api === 'ext_proc' && isMetered(x) ? encodings : none
  if (removeHeaders.length === 0 && spoken.length === 0 && unreadable.length === 0)
    return { set, remove: none }
  const isSet = new Set(set.map(([name]) => name))
  const remove = new Set([...removeHeaders, ...spoken, ...unreadable])
  return { set, remove: [...remove].filter((name) => !isSet.has(name)) }
}

const none: readonly string[] = []

/** What is compressed cannot be measured. */
const encodings: readonly string[] = ['accept-encoding', 'grpc-accept-encoding']

/** Headers of a client that only Sluice may speak in. */
function ownNames(names: readonly string[]): readonly string[] {
  let found: string[] | undefined
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string
    if (name.startsWith(ownHeaderPrefix)) {
      found ??= []
      found.push(name)
    }
  }
  return found ?? none
}
