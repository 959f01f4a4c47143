import { isJsonObject, type JsonObject } from '#base/json.ts'
import { either, isOn, isOther, isSet, lacks, type Rule, secondsAt } from '../rule.ts'
import { at, type Node, objectsAt, textAt } from '../tree.ts'
import type { View } from '../view.ts'
import { areMutationsDropped, failingStatuses, maxTimeoutSeconds } from './deciding.ts'
import { showsBody } from './measuring.ts'

const isSkipped = (mode: string) => (object: JsonObject) => at(object, mode) === 'SKIP'
const isBodyJudged = ({ expected }: View) => expected.judged === 'body'
const areAnswersJudged = ({ expected }: View) => expected.judged === 'headers' || expected.judged === 'body'
const isBuffered = (mode: JsonObject, field: string) => textAt(mode, field).startsWith('BUFFERED')

/** The filter that asks the whole pipeline, and how routes override it. */
export const extProcRules: readonly Rule[] = [
  {
    id: 'ext_proc_failure_mode_allow',
    severity: 'opens',
    kinds: ['extProc'],
    setting: 'failure_mode_allow',
    isBroken: isOn('failure_mode_allow'),
    why: 'requests pass undecided when the agent fails.',
    fix: 'leave it out or set it to false.',
  },
  {
    id: 'ext_proc_observability_mode',
    severity: 'opens',
    kinds: ['extProc'],
    setting: 'observability_mode',
    isBroken: isOn('observability_mode'),
    why: 'Envoy does not wait for the decision.',
    fix: 'remove it.',
  },
  {
    id: 'ext_proc_request_headers_skipped',
    severity: 'opens',
    kinds: ['processingMode'],
    setting: 'processing_mode.request_header_mode',
    isBroken: isSkipped('request_header_mode'),
    why: 'the agent never sees the request.',
    fix: 'set it to SEND.',
  },
  {
    id: 'ext_proc_immediate_response_disabled',
    severity: 'opens',
    kinds: ['extProc'],
    setting: 'disable_immediate_response',
    isBroken: isOn('disable_immediate_response'),
    why: 'the agent cannot refuse.',
    fix: 'remove it.',
  },
  {
    id: 'ext_proc_mode_override',
    severity: 'weakens',
    kinds: ['extProc'],
    setting: 'allow_mode_override, allowed_override_modes',
    isBroken: (filter) => isOn('allow_mode_override')(filter) && !areOverridesHarmless(filter),
    why: 'an answer can switch off that the rest of the request, or its answer, is shown to the agent.',
    fix: 'remove it, or list in allowed_override_modes what sluice envoy config does.',
  },
  {
    id: 'ext_proc_status_on_error',
    severity: 'weakens',
    kinds: ['extProc'],
    setting: 'status_on_error',
    isBroken: isOther('status_on_error.code', ...failingStatuses),
    why: 'a refusal because of a failure does not look like one.',
    fix: 'set its code to ServiceUnavailable.',
  },
  {
    id: 'ext_proc_message_timeout',
    severity: 'weakens',
    kinds: ['extProc'],
    setting: 'message_timeout',
    isBroken: (filter, _, { expected }) => {
      const seconds = secondsAt(filter, 'message_timeout') ?? 0.2
      return !(seconds * 1000 > (expected.deadlineMs ?? 0) && seconds <= maxTimeoutSeconds)
    },
    why: 'Envoy gives up before the agent has refused, or keeps requests waiting for an agent that is stuck.',
    fix: 'set it to more than decision.deadlineMs and at most 60 s.',
  },
  {
    id: 'ext_proc_peer_certificate',
    severity: 'weakens',
    kinds: ['extProc'],
    setting: 'request_attributes',
    isBroken: lacks('request_attributes', 'connection.peer_certificate'),
    why: 'the agent cannot see the client certificate.',
    fix: 'ask for connection.peer_certificate.',
  },
  {
    id: 'ext_proc_peer_certificate_valid',
    severity: 'weakens',
    kinds: ['extProc'],
    setting: 'request_attributes',
    isBroken: lacks('request_attributes', 'connection.peer_certificate_valid'),
    why: 'the agent cannot see whether Envoy validated the client certificate.',
    fix: 'ask for connection.peer_certificate_valid.',
  },
  {
    id: 'ext_proc_hidden_headers',
    severity: 'weakens',
    kinds: ['extProc'],
    setting: 'forward_rules',
    isBroken: isSet('forward_rules'),
    why: 'headers that the model server reads are kept from the agent.',
    fix: 'remove it.',
  },
  {
    id: 'ext_proc_message_rewritten',
    severity: 'weakens',
    kinds: ['extProc', 'extProcOverrides'],
    setting: 'processing_request_modifier, on_processing_response',
    isBroken: either(isSet('processing_request_modifier'), isSet('on_processing_response')),
    why: 'an extension changes what the agent is asked, or acts on what it answers.',
    fix: 'remove it.',
  },
  {
    id: 'ext_proc_mutations_dropped',
    severity: 'weakens',
    kinds: ['extProc'],
    setting: 'mutation_rules',
    isBroken: areMutationsDropped('mutation_rules'),
    why: "what the agent writes over a client's headers is dropped without a word.",
    fix: 'remove what disallows, or set disallow_is_error to true.',
  },
  {
    id: 'ext_proc_routing_mutations',
    severity: 'weakens',
    kinds: ['extProc'],
    setting: 'mutation_rules.allow_all_routing, mutation_rules.allow_envoy',
    isBroken: either(isOn('mutation_rules.allow_all_routing'), isOn('mutation_rules.allow_envoy')),
    why: "a policy's headers can change the host, the scheme or Envoy's own headers after the decision.",
    fix: 'remove it.',
  },
  {
    id: 'ext_proc_route_cache_cleared',
    severity: 'weakens',
    kinds: ['extProc'],
    setting: 'route_cache_action',
    isBroken: isOther('route_cache_action', 'DEFAULT', 'RETAIN'),
    why: 'the request may take another route than the one that was judged.',
    fix: 'remove it.',
  },
  {
    id: 'ext_proc_route_disabled',
    severity: 'opens',
    kinds: ['extProcPerRoute'],
    setting: 'disabled',
    isBroken: (route, node, view) => isOn('disabled')(route) && !view.isGuardedWithout(disabledAround(node)),
    why: 'requests of this route are never decided.',
    fix: 'remove it.',
  },
  {
    id: 'ext_proc_route_failure_mode_allow',
    severity: 'opens',
    kinds: ['extProcOverrides'],
    setting: 'overrides.failure_mode_allow',
    isBroken: isOn('failure_mode_allow'),
    why: 'requests of this route pass undecided when the agent fails.',
    fix: 'remove the override.',
  },
  {
    id: 'ext_proc_route_service',
    severity: 'opens',
    kinds: ['extProcOverrides'],
    setting: 'overrides.grpc_service',
    isBroken: isSet('grpc_service'),
    why: 'somebody else decides on requests of this route.',
    fix: 'remove the override.',
  },
  {
    id: 'ext_proc_route_attributes',
    severity: 'weakens',
    kinds: ['extProcOverrides'],
    setting: 'overrides.request_attributes',
    isBroken: (overrides) =>
      isSet('request_attributes')(overrides) &&
      ['connection.peer_certificate', 'connection.peer_certificate_valid'].some((attribute) =>
        lacks('request_attributes', attribute)(overrides),
      ),
    why: 'the agent cannot see the client certificate, or whether it was validated, on this route.',
    fix: 'remove the override, or ask for connection.peer_certificate and connection.peer_certificate_valid.',
  },
  {
    id: 'ext_proc_response_headers_skipped',
    severity: 'weakens',
    kinds: ['processingMode'],
    setting: 'processing_mode.response_header_mode',
    isBroken: (mode, _, view) => areAnswersJudged(view) && isSkipped('response_header_mode')(mode),
    why: 'the agent never sees the answer, which policy is to judge.',
    fix: 'set it to SEND.',
  },
  {
    id: 'ext_proc_response_trailers_skipped',
    severity: 'weakens',
    kinds: ['processingMode'],
    setting: 'processing_mode.response_trailer_mode',
    isBroken: (mode, _, view) =>
      areAnswersJudged(view) &&
      isBuffered(mode, 'response_body_mode') &&
      at(mode, 'response_trailer_mode') !== 'SEND',
    why: 'answers with trailers and no body are never judged.',
    fix: 'set it to SEND.',
  },
  {
    id: 'ext_proc_response_body_skipped',
    severity: 'weakens',
    kinds: ['processingMode'],
    setting: 'processing_mode.response_body_mode',
    isBroken: (mode, node, view) =>
      isBodyJudged(view) && node.parent?.kind === 'extProc' && !isBuffered(mode, 'response_body_mode'),
    why: 'policy does not see the body of the answer, which policy.response.body asks for.',
    fix: 'set it to BUFFERED_PARTIAL.',
  },
]

/** Whether answers may only ask to be shown more, or that what is kept back for them no longer is. */
function areOverridesHarmless(filter: JsonObject): boolean {
  const modeOf = (object: JsonObject, field: string) => textAt(object, field) || 'NONE'
  const request = modeOf(filter, 'processing_mode.request_body_mode')
  const isKept = isBuffered(filter, 'processing_mode.response_body_mode')
  const allowed = objectsAt(filter, 'allowed_override_modes')
  const isHarmless = (mode: JsonObject) =>
    at(mode, 'response_header_mode') === 'SEND' &&
    modeOf(mode, 'request_body_mode') === request &&
    (isKept || showsBody(mode, 'response_body_mode'))
  return allowed.length > 0 && allowed.every(isHarmless)
}

/** Filters that are switched off where a node stands, on every level around it. */
function disabledAround(node: Node): ReadonlySet<string> {
  const names = new Set<string>()
  for (let around: Node | undefined = node; around !== undefined; around = around.parent) {
    if (around.kind === 'overrides') addDisabled(around.object, names)
    const overrides = at(around.object, 'typed_per_filter_config')
    if (isJsonObject(overrides)) addDisabled(overrides, names)
  }
  return names
}

function addDisabled(overrides: JsonObject, names: Set<string>): void {
  // Itself, or wrapped.
  for (const [name, override] of Object.entries(overrides))
    if ([override, at(override, 'config')].some((each) => isJsonObject(each) && isOn('disabled')(each)))
      names.add(name)
}
