import type { Expectations } from './expectations.ts'
import type { Kind } from './kinds.ts'
import { knownFields } from './known-fields.ts'
import { type Finding, findingOf, type Rule, type RuleText } from './rule.ts'
import { connectionManagerRules } from './rules/connection-manager.ts'
import { extAuthzRules } from './rules/ext-authz.ts'
import { extProcRules } from './rules/ext-proc.ts'
import { filterRules } from './rules/filters.ts'
import { formRules } from './rules/form.ts'
import { bootstrapRules, listenerRules } from './rules/listeners.ts'
import { measuringRules } from './rules/measuring.ts'
import { routeRules } from './rules/routes.ts'
import { tlsRules } from './rules/tls.ts'
import { sectionsOf } from './sections.ts'
import { type Node, printable, treeOf } from './tree.ts'
import { type View, viewOf } from './view.ts'

/** Every rule, by what it is about. */
export const auditAreas: readonly { readonly title: string; readonly rules: readonly RuleText[] }[] = [
  { title: 'Admission (ext_authz)', rules: extAuthzRules },
  { title: 'The whole pipeline (ext_proc)', rules: [...extProcRules, ...measuringRules] },
  { title: 'Filters beside them', rules: filterRules },
  { title: 'Listeners and the way to the agent', rules: listenerRules },
  { title: 'TLS', rules: tlsRules },
  { title: 'HTTP connection manager', rules: connectionManagerRules },
  { title: 'Routes', rules: routeRules },
  { title: 'Envoy itself', rules: bootstrapRules },
  { title: 'What cannot be read', rules: Object.values(formRules) },
]

const rules: readonly Rule[] = [
  ...[...extAuthzRules, ...extProcRules, ...measuringRules, ...filterRules, ...listenerRules],
  ...[...tlsRules, ...connectionManagerRules, ...routeRules, ...bootstrapRules],
]
const rulesForAll = rules.filter(({ kinds }) => kinds === 'all')
const rulesByKind = Map.groupBy(
  rules.flatMap((rule) => (rule.kinds === 'all' ? [] : rule.kinds.map((kind) => ({ kind, rule })))),
  ({ kind }) => kind,
)

/**
 * Reads a bootstrap or a `/config_dump` and lists what would let a request pass undecided, or be decided on less than there
 * is. Listeners that neither ask the agent nor lead to the model server are nobody's business here.
 */
export function auditEnvoyConfig(config: unknown, expected: Expectations = {}): Finding[] {
  const { roots, isLive, unreadable } = sectionsOf(config)
  const { nodes, tooDeep } = treeOf(roots)
  const view = viewOf(nodes, { expected, isLive })
  return [
    ...[...unreadable, ...tooDeep].map((place) => findingOf(formRules.unreadable, place)),
    ...nodes.flatMap((node) => [...findingsOf(node, rulesForAll, view), ...findingsByKind(node, view)]),
  ]
}

function findingsByKind(node: Node, view: View): readonly Finding[] {
  if (node.kind === undefined || !view.isOfConcern(node)) return []
  const own = (rulesByKind.get(node.kind) ?? []).map(({ rule }) => rule)
  return view.isOfOthers(node) ? [] : [...findingsOf(node, own, view), ...unknownFields(node, node.kind)]
}

function findingsOf(node: Node, own: readonly Rule[], view: View): readonly Finding[] {
  return own
    .filter((rule) => rule.isBroken(node.object, node, view))
    .map((rule) => findingOf(rule, node.place))
}

function unknownFields({ object, place }: Node, kind: Kind): readonly Finding[] {
  const known = knownFields[kind]
  if (known === undefined) return []
  return Object.keys(object)
    .filter((key) => key !== '@type' && !known.has(key))
    .map((key) => ({
      ...findingOf(formRules.unknownSetting, place === '' ? '.' : place),
      setting: printable(key),
    }))
}
