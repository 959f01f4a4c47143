import type { Exchange, RouteChoice, SplitKeyKind } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { computingVerbs } from '#decision/verbs.ts'
import { ALLOW, allowWith, deny, type Verdict } from '#decision/verdict.ts'
import type { ModelRoute } from '#resources/resources.ts'
import { pick } from './pick.ts'

/**
 * Which version answers: the one the client names if the route has it, a tenant's pin, or the split. A model without a
 * route is left alone. ext_authz cannot write a choice into the request: there the client
 * has to name the version.
 */
export function createTrafficStage(): Stage {
  return {
    name: 'traffic',
    failureReason: 'traffic_failed',
    request: (x): Verdict => {
      const { call, modelRoute } = x
      if (call === undefined || modelRoute === undefined || !computingVerbs.has(call.verb)) return ALLOW
      if (call.version !== undefined) {
        const isOffered = modelRoute.versions.some(({ version }) => version === call.version)
        if (!isOffered)
          return deny('version_unavailable', `${modelRoute.name} has no version ${call.version}`)
        x.route = { version: call.version, by: 'asked' }
        return ALLOW
      }
      // Left open, the model server would choose, and policy would have judged another version or none.
      // Nor can a version be written into a request of OpenAI's API.
      if (x.request.api === 'ext_authz' || call.protocol === 'openai') return deny('version_required')
      const route = choose(x, modelRoute)
      x.route = route
      return allowWith({
        modelVersion: route.version,
        addResponseHeaders: [
          ['x-sluice-model-version', route.version],
          ...(route.key === undefined ? [] : [['x-sluice-split-key', route.key] as const]),
        ],
      })
    },
  }
}

function choose(x: Exchange, route: ModelRoute): RouteChoice {
  const pin = route.pins.find(({ tenant }) => tenant === x.tenant?.name)
  if (pin !== undefined) return { version: pin.version, by: 'pin' }
  const { kind, value } = splitKey(x, route)
  return { version: pick(route.versions, route.key.salt ?? route.name, value), by: 'split', key: kind }
}

/** The first of session, user, tenant and request that is there. A key of one tenant is never one of another. */
function splitKey(x: Exchange, route: ModelRoute): { readonly kind: SplitKeyKind; readonly value: string } {
  const session = x.request.headers.single(route.key.sessionHeader)
  if (session !== undefined && session !== '')
    return { kind: 'session', value: `${x.tenant?.name ?? ''}/${session}` }
  if (x.peer !== undefined) return { kind: 'user', value: x.peer.spiffeId }
  if (x.tenant !== undefined) return { kind: 'tenant', value: x.tenant.name }
  return { kind: 'request', value: x.request.requestId || x.id }
}
