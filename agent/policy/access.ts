import type { Exchange } from '#decision/exchange.ts'
import { type AccessPolicy, coversModel } from '#resources/resources.ts'

const none: readonly AccessPolicy[] = []

/** The AccessPolicies for a request, by name. What is not known of it (model, route) is taken to be covered. */
export function accessPoliciesFor({ resources, tenant, call, request }: Exchange): readonly AccessPolicy[] {
  if (resources.accessPolicies.length === 0) return none
  return resources.accessPolicies.filter(
    ({ tenants, models, routes }) =>
      (tenants.includes('*') || (tenant !== undefined && tenants.includes(tenant.name))) &&
      (call?.model === undefined || coversModel(models, call.model)) &&
      (routes === undefined || request.routeName === '' || routes.includes(request.routeName)),
  )
}
