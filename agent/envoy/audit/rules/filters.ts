import type { JsonObject } from '#base/json.ts'
import { httpFilterRole } from '../filters.ts'
import { isOn, isSet, type Rule } from '../rule.ts'
import { at, type Node, objectsAt } from '../tree.ts'
import type { View } from '../view.ts'

/** Where a filter stands: before the last filter that asks the agent, or behind it; `guard` where it is one of those. */
function positionOf(
  filter: JsonObject,
  { parent }: Node,
  view: View,
): 'before' | 'behind' | 'guard' | undefined {
  if (parent?.kind !== 'httpConnectionManager') return undefined
  const guards = view.guards(parent.object)
  const last = guards.at(-1)
  const index = objectsAt(parent.object, 'http_filters').indexOf(filter)
  if (last === undefined) return undefined
  if (guards.includes(index)) return 'guard'
  return index < last ? 'before' : 'behind'
}
const isAsking = (filter: JsonObject, view: View) => view.isAsking(view.configurationOf(filter))
/** Of filters that ask the agent it is known what they do; rules of their own judge them. */
const roleOf = (filter: JsonObject, view: View) =>
  isAsking(filter, view) ? 'watches' : httpFilterRole(view.configurationOf(filter))

/** Every requirement below a place in a jwt_authn filter. */
function hasRequirement(value: unknown, name: string): boolean {
  if (Array.isArray(value)) return value.some((item) => hasRequirement(item, name))
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([key, item]) => key === name || hasRequirement(item, name))
}
const requires = (name: string) => (filter: JsonObject) =>
  ['rules', 'filter_state_rules', 'requirement_map'].some((field) => hasRequirement(filter[field], name))

/** What stands beside the agent's filter, and may change what it judged. */
export const filterRules: readonly Rule[] = [
  {
    id: 'filter_disabled',
    severity: 'opens',
    kinds: ['httpFilter'],
    setting: 'disabled',
    isBroken: (filter, _, view) => isOn('disabled')(filter) && isAsking(filter, view),
    why: 'the filter that asks the agent is off, but for routes that switch it on.',
    fix: 'remove it.',
  },
  {
    id: 'filter_optional',
    severity: 'opens',
    kinds: ['httpFilter'],
    setting: 'is_optional',
    isBroken: (filter, _, view) => isOn('is_optional')(filter) && isAsking(filter, view),
    why: 'an Envoy that does not have the filter goes on without it.',
    fix: 'remove it.',
  },
  {
    id: 'filter_unknown',
    severity: 'weakens',
    kinds: ['httpFilter', 'upstreamFilter'],
    setting: 'http_filters',
    isBroken: (filter, _, view) => roleOf(filter, view) === undefined,
    why: 'it is not known what this filter does with requests, or its configuration is not to be seen.',
    fix: 'remove it, or configure it by its own message.',
  },
  {
    id: 'filter_answers_before',
    severity: 'opens',
    kinds: ['httpFilter'],
    setting: 'http_filters',
    isBroken: (filter, node, view) =>
      positionOf(filter, node, view) === 'before' && roleOf(filter, view) === 'answers',
    why: 'it answers requests that nobody decided on.',
    fix: "put it behind the agent's filter, or remove it.",
  },
  {
    id: 'filter_changes_before',
    severity: 'weakens',
    kinds: ['httpFilter'],
    setting: 'http_filters',
    isBroken: (filter, node, view) =>
      positionOf(filter, node, view) === 'before' && roleOf(filter, view) === 'changes',
    why: 'the agent judges what this filter makes of the request, not what the client sent.',
    fix: 'remove it.',
  },
  {
    id: 'filter_changes_behind',
    severity: 'opens',
    kinds: ['httpFilter'],
    setting: 'http_filters',
    isBroken: (filter, node, view) => {
      const role = roleOf(filter, view)
      return positionOf(filter, node, view) === 'behind' && (role === 'changes' || role === 'answers')
    },
    why: 'it may change or copy the request, answer it, or send it elsewhere after it was decided on.',
    fix: 'remove it.',
  },
  {
    id: 'upstream_filter_changes',
    severity: 'opens',
    kinds: ['upstreamFilter'],
    setting: 'http_filters',
    isBroken: (filter, _, view) => {
      const role = roleOf(filter, view)
      return role === 'changes' || role === 'answers'
    },
    why: 'it may change or copy the request, or answer it, after it was decided on.',
    fix: 'remove it from the cluster.',
  },
  {
    id: 'jwt_unverified',
    severity: 'weakens',
    kinds: ['jwtAuthn'],
    setting: 'extract_only_without_validation',
    isBroken: requires('extract_only_without_validation'),
    why: 'claims that nobody signed look like those that were checked.',
    fix: 'require the provider.',
  },
  {
    id: 'jwt_optional',
    severity: 'weakens',
    kinds: ['jwtAuthn'],
    setting: 'allow_missing_or_failed, allow_missing',
    isBroken: (filter) => requires('allow_missing_or_failed')(filter) || requires('allow_missing')(filter),
    why: 'requests pass without a token, or with a bad one.',
    fix: 'require the provider alone.',
  },
  {
    id: 'jwt_preflight',
    severity: 'weakens',
    kinds: ['jwtAuthn'],
    setting: 'bypass_cors_preflight',
    isBroken: isOn('bypass_cors_preflight'),
    why: 'what looks like a preflight request needs no token.',
    fix: 'remove it.',
  },
  {
    id: 'jwt_route_disabled',
    severity: 'weakens',
    kinds: ['jwtPerRoute'],
    setting: 'disabled',
    isBroken: isOn('disabled'),
    why: 'requests of this route need no token.',
    fix: 'remove it.',
  },
  {
    id: 'jwt_no_issuer',
    severity: 'weakens',
    kinds: ['jwtProvider'],
    setting: 'issuer',
    isBroken: (provider) => at(provider, 'issuer') === undefined || at(provider, 'issuer') === '',
    why: 'tokens of any issuer are taken that these keys signed.',
    fix: 'name the issuer.',
  },
  {
    id: 'jwt_no_audiences',
    severity: 'weakens',
    kinds: ['jwtProvider'],
    setting: 'audiences',
    isBroken: (provider) => !isSet('audiences')(provider),
    why: 'a token that was made out to somebody else is taken.',
    fix: 'list the audiences that are meant for here.',
  },
  {
    id: 'jwt_no_expiration',
    severity: 'weakens',
    kinds: ['jwtProvider'],
    setting: 'require_expiration',
    isBroken: (provider) => at(provider, 'require_expiration') !== true,
    why: 'a token without an end is taken for ever.',
    fix: 'set it to true.',
  },
]
