import type { JsonObject, JsonValue } from '#base/json.ts'
import { typeOf } from '../kinds.ts'
import { either, isOn, isOwnHeader, isSet, type Rule } from '../rule.ts'
import { at, objectsAt } from '../tree.ts'

export const isUpgradeOn = (upgrade: JsonObject) => upgrade['enabled'] !== false

const scopes = ['routeConfiguration', 'virtualHost', 'route', 'clusterWeight'] as const
const listAt = (object: JsonObject, field: string): readonly JsonValue[] => {
  const list = at(object, field)
  return Array.isArray(list) ? list : []
}
/** Types of what routes may say of the agent's filters, which rules of their own judge. */
const readableOverrides: ReadonlySet<string | undefined> = new Set([
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthzPerRoute',
  'envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute',
])
const filterConfigType = 'envoy.config.route.v3.FilterConfig'

/** Where requests go, and what is done with them on the way after the decision. */
export const routeRules: readonly Rule[] = [
  {
    id: 'route_filter_disabled',
    severity: 'opens',
    kinds: ['overrides'],
    setting: 'typed_per_filter_config',
    isBroken: (overrides, _, { guardNames }) =>
      [...guardNames].some((name) => {
        const override = at({ override: overrides[name] }, 'override')
        return typeOf(override) === filterConfigType && isOn('disabled')(override as JsonObject)
      }),
    why: 'requests of this route are never decided.',
    fix: 'remove disabled.',
  },
  {
    id: 'route_filter_unreadable',
    severity: 'opens',
    kinds: ['overrides'],
    setting: 'typed_per_filter_config',
    isBroken: (overrides, _, { guardNames }) =>
      [...guardNames].some((name) => {
        const override = overrides[name]
        if (override === undefined) return false
        const inner = typeOf(override) === filterConfigType ? at(override, 'config') : override
        return inner !== undefined && !readableOverrides.has(typeOf(inner))
      }),
    why: "it is not known what this route makes of the agent's filter.",
    fix: "write it as the filter's own message for routes, or remove it.",
  },
  {
    id: 'route_by_header',
    severity: 'weakens',
    kinds: ['routeAction', 'clusterWeight'],
    setting: 'cluster_header',
    isBroken: (action) => isSet('cluster_header')(action) && !isOwnHeader(action['cluster_header']),
    why: 'the client chooses where its request goes.',
    fix: 'name the cluster, or choose by a header x-sluice-*.',
  },
  {
    id: 'path_rewritten',
    severity: 'weakens',
    kinds: ['routeAction'],
    setting: 'prefix_rewrite, regex_rewrite, path_rewrite, path_rewrite_policy',
    isBroken: either(
      isSet('prefix_rewrite'),
      isSet('regex_rewrite'),
      isSet('path_rewrite'),
      isSet('path_rewrite_policy'),
    ),
    why: 'the model server reads another path than the one that was decided on.',
    fix: 'remove it, or rewrite in front of the listener that asks the agent.',
  },
  {
    id: 'internal_redirects',
    severity: 'weakens',
    kinds: ['routeAction'],
    setting: 'internal_redirect_policy, internal_redirect_action',
    isBroken: either(
      isSet('internal_redirect_policy'),
      (action) => at(action, 'internal_redirect_action') === 'HANDLE_INTERNAL_REDIRECT',
    ),
    why: "the model server's answer makes Envoy send another request in the client's name.",
    fix: 'remove it.',
  },
  {
    id: 'requests_mirrored',
    severity: 'weakens',
    kinds: ['routeConfiguration', 'virtualHost', 'routeAction'],
    setting: 'request_mirror_policies',
    isBroken: isSet('request_mirror_policies'),
    why: 'copies go where nobody decided that the data may go.',
    fix: 'remove it.',
  },
  {
    id: 'route_upgrades',
    severity: 'opens',
    kinds: ['route'],
    setting: 'route.upgrade_configs, match.connect_matcher',
    isBroken: (route) =>
      objectsAt(route, 'route.upgrade_configs').some(isUpgradeOn) || isSet('match.connect_matcher')(route),
    why: 'after CONNECT or an upgrade nobody decides on what goes through.',
    fix: 'remove it.',
  },
  {
    id: 'own_headers_added',
    severity: 'weakens',
    kinds: scopes,
    setting: 'request_headers_to_add',
    isBroken: (scope) => listAt(scope, 'request_headers_to_add').some(isOwnHeader),
    why: 'headers x-sluice-* that the agent did not write reach whoever trusts them.',
    fix: 'remove them.',
  },
  {
    id: 'own_headers_removed',
    severity: 'weakens',
    kinds: scopes,
    setting: 'request_headers_to_remove',
    isBroken: (scope) => listAt(scope, 'request_headers_to_remove').some(isOwnHeader),
    why: 'headers x-sluice-* that the agent wrote do not reach whoever relies on them.',
    fix: 'remove them from the list.',
  },
]
