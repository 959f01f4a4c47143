import type { CanonicalRequest, Exchange } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, deny, type Verdict } from '#decision/verdict.ts'
import { createHeaderJudge } from './headers.ts'
import { authorityFault } from './host.ts'
import { mayBeModelServers, pathFault, queryFault } from './path.ts'

/** Methods that the readers know alike; a server that folds case or invents its own is none of them. */
const methods = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/**
 * The one form of a request that everybody is judged by: path, host, method and headers that Envoy, Sluice, policy and the
 * model server could read differently are refused before any of them is asked. What is right is left in `x.canonical`.
 */
export function createCanonicalStage(options: {
  /** Judge every request. Otherwise only paths that could be the model server's, and the rest is decided as it is. */
  readonly isStrict: boolean
  /** Headers in which a client says what its tenant is: lower-case names, or beginnings that end in `*`. */
  readonly tenantHeaders: readonly string[]
}): Stage {
  const judgeHeaders = createHeaderJudge(options.tenantHeaders)
  // Nearly every request is to the same host.
  let known = { authority: '', folded: '' }

  const strict = (x: Exchange): Verdict => {
    const { request } = x
    const { path } = request
    const query = path.indexOf('?')
    const bare = query === -1 ? path : path.slice(0, query)
    const fault = pathFault(bare) ?? (query === -1 ? undefined : queryFault(path.slice(query + 1)))
    if (fault !== undefined) return deny('path_not_canonical', fault)
    if (!methods.has(request.method)) return deny('method_not_canonical')
    if (known.authority !== request.authority || request.authority === '') {
      const wrong = authorityFault(request.authority)
      if (wrong !== undefined) return deny('host_not_canonical', wrong)
      // A copy: it is a piece of the whole message's text, and would keep it.
      const authority = Buffer.from(request.authority, 'latin1').toString('latin1')
      known = { authority, folded: authority.toLowerCase() }
    }
    const found = judgeHeaders(request)
    if (found.kind === 'refused') return found.refusal
    x.canonical = canonical(bare, known.folded, found.withheld)
    return ALLOW
  }

  const loose = (x: Exchange): Verdict => {
    const { path, authority } = x.request
    const query = path.indexOf('?')
    const bare = query === -1 ? path : path.slice(0, query)
    const fault = pathFault(bare) ?? (query === -1 ? undefined : queryFault(path.slice(query + 1)))
    if (fault !== undefined && mayBeModelServers(bare)) return deny('path_not_canonical', fault)
    x.canonical = canonical(fault === undefined ? bare : undefined, authority, undefined)
    return ALLOW
  }

  return { name: 'canonical', failureReason: 'internal_error', request: options.isStrict ? strict : loose }
}

function canonical(
  path: string | undefined,
  authority: string,
  withheld: readonly string[] | undefined,
): CanonicalRequest {
  return { path, authority, withheld }
}
