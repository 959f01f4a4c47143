import type { JsonObject } from '#base/json.ts'
import { either, isSet, type Rule } from '../rule.ts'
import { at, enclosing, type Node, objectsAt, textAt } from '../tree.ts'

const shown: ReadonlySet<string> = new Set([
  'STREAMED',
  'BUFFERED',
  'BUFFERED_PARTIAL',
  'FULL_DUPLEX_STREAMED',
])

/** Whether the mode that stands in a field shows bodies. */
export function showsBody(object: JsonObject, field: string): boolean {
  return shown.has(textAt(object, field))
}

const isTriedAgain = either(isSet('retry_policy'), isSet('retry_policy_typed_config'), isSet('hedge_policy'))

/** What limits need to see: what a call may take, and what it took. */
export const measuringRules: readonly Rule[] = [
  {
    id: 'ext_proc_request_body_skipped',
    severity: 'weakens',
    kinds: ['processingMode'],
    setting: 'processing_mode.request_body_mode',
    isBroken: (mode, _, { expected }) =>
      expected.areCallsMeasured === true && !showsBody(mode, 'request_body_mode'),
    why: 'what a call may cost stands in its body, which the agent does not see: limits reserve too little, or refuse.',
    fix: 'set it to BUFFERED_PARTIAL, for gRPC to STREAMED.',
  },
  {
    id: 'ext_proc_answers_unmeasured',
    severity: 'weakens',
    kinds: ['extProc', 'extProcOverrides'],
    setting: 'processing_mode.response_body_mode, allow_mode_override',
    isBroken: (object, node, { expected }) =>
      expected.areCallsMeasured === true &&
      (node.kind === 'extProc' ? isHidden(object, node) : isHiddenOnRoute(object)),
    why: 'what a call took stands in its answer, which the agent does not see: calls that are charged by it are refused.',
    fix: 'set filters, routes and modes as sluice envoy config does.',
  },
  {
    id: 'calls_tried_again',
    severity: 'weakens',
    kinds: ['virtualHost', 'routeAction'],
    setting: 'retry_policy, retry_policy_typed_config, hedge_policy',
    isBroken: (object, _, { expected }) => expected.areCallsMeasured === true && isTriedAgain(object),
    why: 'a call that is tried several times is computed as often, and charged once: the agent sees one answer.',
    fix: 'remove it, and have clients try again.',
  },
]

/** Whether bodies of answers neither come nor can be asked for. */
function isHidden(filter: JsonObject, node: Node): boolean {
  if (showsBody(filter, 'processing_mode.response_body_mode') || isAsked(filter)) return false
  // Where there is one for HTTP beside it, it is that of gRPC, to which routes say more.
  const filters = objectsAt(enclosing(node, 'httpConnectionManager')?.object, 'http_filters')
  return !filters.some((other) => isAsked(at(other, 'typed_config')))
}

function isAsked(filter: unknown): boolean {
  const isEager = at(filter, 'send_body_without_waiting_for_header_response') === true
  return at(filter, 'allow_mode_override') === true && !isEager
}

function isHiddenOnRoute(overrides: JsonObject): boolean {
  return isSet('processing_mode')(overrides) && !showsBody(overrides, 'processing_mode.response_body_mode')
}
