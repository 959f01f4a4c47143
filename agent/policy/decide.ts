import type { Clock } from '#base/clock.ts'
import type { JsonObject, JsonValue } from '#base/json.ts'
import type { Exchange } from '#decision/exchange.ts'
import { ALLOW, allowWith, failure, mergeMutations, type Verdict } from '#decision/verdict.ts'
import type { AccessPolicy } from '#resources/resources.ts'
import { accessPoliciesFor } from './access.ts'
import type { Active } from './active.ts'
import { type AnswerBody, answerOf, type TensorReader } from './answer/answer.ts'
import { answerVerdictOf } from './answer/verdict.ts'
import type { EvaluationContext } from './builtins/builtin.ts'
import type { DecisionSink } from './decided.ts'
import { InputDocument, type PolicyInput } from './engine/input-document.ts'
import { type InputFault, policyInput } from './input/input.ts'
import { verdictOf } from './result.ts'
import type { Candidate } from './shadow/candidate.ts'
import type { ShadowQueue } from './shadow/queue.ts'
import { judged, malformed } from './strictness.ts'
import type { Switches } from './switches.ts'

/** What a policy is asked about answers. */
export interface AnswerOptions {
  readonly decision: string
  readonly body: AnswerBody
  readonly tensorsOf: TensorReader
}

export interface DecideOptions {
  readonly decision: string
  readonly answer?: AnswerOptions | undefined
  readonly clock: Clock
  readonly sink?: DecisionSink | undefined
  /** Where what is never enforced is asked, after the request was answered. */
  readonly queue: ShadowQueue
  readonly candidate?: Candidate | undefined
  /** Told of what a policy in shadow mode would have done: `allow`, `deny` or `error`. */
  readonly onShadow: (policy: string, kind: Verdict['kind']) => void
  readonly switches: Switches
}

/** Asks the policy about a request: the base decision, then that of each AccessPolicy for it. All must allow. */
export function decideRequest(
  active: Active,
  x: Exchange,
  options: DecideOptions,
): Verdict | Promise<Verdict> {
  const { switches } = options
  const input = documentOf(active, policyInput(x, switches), switches)
  if (typeof input === 'string') return unasked(active, x, options.decision, input, options)
  const document = input
  const judge = (result: JsonValue | undefined) => verdictOf(result, x.id, handIn)
  const policies = accessPoliciesFor(x)
  let quotas: Map<string, number> | undefined
  const base = ask(active, x, { path: options.decision, input, judge }, options)
  const verdict =
    policies.length === 0
      ? base
      : then(base, (allowed) => (allowed.kind === 'allow' ? narrowed(allowed, policies) : allowed))
  return verdict instanceof Promise ? verdict.then(noted) : noted(verdict)

  function noted(final: Verdict): Verdict {
    const isAllowed = final.kind === 'allow'
    x.policy = { decisionId: x.id, revision: active.revision, isAllowed, ...(quotas && { quotas }) }
    return final
  }

  /** Where several hand in a number for one limit the least counts. */
  function handIn(more: ReadonlyMap<string, number>): void {
    quotas ??= new Map()
    for (const [name, number] of more) quotas.set(name, Math.min(number, quotas.get(name) ?? number))
  }

  function narrowed(before: Verdict, rest: readonly AccessPolicy[]): Verdict | Promise<Verdict> {
    const [first, ...others] = rest
    if (first === undefined || before.kind !== 'allow') return before
    const question = { path: first.decision, input: document, judge }
    if (first.mode === 'shadow') {
      // What is only tried hands nothing in.
      const tried = { ...question, judge: (result: JsonValue | undefined) => verdictOf(result, x.id) }
      options.queue.offer(() => shadow(first, tried))
      return narrowed(before, others)
    }
    return then(ask(active, x, question, options), (own) =>
      own.kind === 'allow'
        ? narrowed(allowWith(mergeMutations(before.mutations, own.mutations)), others)
        : own,
    )
  }

  async function shadow(policy: AccessPolicy, question: Question): Promise<void> {
    const { kind } = await ask(active, x, { ...question, shadow: policy.name }, options)
    options.onShadow(policy.name, kind)
  }
}

/** Asks the policy about an answer. */
export function decideAnswer(
  active: Active,
  x: Exchange,
  options: DecideOptions & { readonly answer: AnswerOptions },
): Verdict | Promise<Verdict> {
  if (x.served === undefined) return ALLOW
  const { decision, body, tensorsOf } = options.answer
  const answer = answerOf(x.served, body, tensorsOf)
  const { switches } = options
  const input = documentOf(active, policyInput(x, switches, answer.document), switches)
  if (typeof input === 'string') return unasked(active, x, decision, input, options)
  const judge = (result: JsonValue | undefined) => answerVerdictOf(result, answer, x.id)
  return ask(active, x, { path: decision, input, judge }, options)
}

/** No character takes more bytes than this, escaped or not. */
const maxBytesPerCharacter = 6

/** @returns why there is none, where policy cannot be asked. */
function documentOf(
  { engine }: Active,
  input: JsonObject | InputFault,
  { maxInputBytes }: Switches,
): InputDocument | string {
  if ('fault' in input) return String(input.fault)
  const document = new InputDocument(input)
  // Where nobody reads the text it is only made if the size is in doubt.
  if (engine.readsValue && document.characters * maxBytesPerCharacter <= maxInputBytes) return document
  return isLonger(document.text, maxInputBytes) ? 'the policy input is too large' : document
}

/** Of a request that policy cannot be asked about there is an event all the same, without an input, as under the plugin. */
function unasked(active: Active, x: Exchange, path: string, why: string, options: DecideOptions): Verdict {
  const { clock, sink, switches } = options
  const verdict = malformed(why, switches)
  if (sink !== undefined) {
    const question = { path, input: new InputDocument(null), judge: () => verdict }
    const [atMs, beganUs] = [clock.nowMs(), clock.monotonicUs()]
    const asked = {
      active,
      x,
      question,
      options,
      atMs,
      beganUs,
      context: { nowNs: BigInt(atMs) * 1_000_000n },
    }
    tell(sink, asked, undefined, new Error(why))
  }
  return verdict
}

/** Goes on at once where there is nothing to wait for. */
function then<T, U>(value: T | Promise<T>, next: (value: T) => U | Promise<U>): U | Promise<U> {
  return value instanceof Promise ? value.then(next) : next(value)
}

interface Question {
  readonly path: string
  readonly input: PolicyInput
  judge(result: JsonValue | undefined): Verdict
  /** The AccessPolicy that is asked without being enforced. */
  readonly shadow?: string
}

/** One question to the engine, and what becomes of its answer. */
function ask(
  active: Active,
  x: Exchange,
  question: Question,
  options: DecideOptions,
): Verdict | Promise<Verdict> {
  const { clock, sink } = options
  const atMs = clock.nowMs()
  const nowNs = BigInt(atMs) * 1_000_000n
  const asked: Asked = {
    active,
    x,
    question,
    options,
    atMs,
    beganUs: sink === undefined ? 0 : clock.monotonicUs(),
    context: sink === undefined ? { nowNs } : { nowNs, recorded: new Map() },
  }
  let result: JsonValue | undefined | Promise<JsonValue | undefined>
  try {
    result = active.engine.evaluate(question.path, question.input, asked.context)
  } catch (thrown) {
    return failed(asked, thrown)
  }
  return result instanceof Promise
    ? result.then(
        (late) => answered(asked, late),
        (thrown) => failed(asked, thrown),
      )
    : answered(asked, result)
}

/** A question on its way: one object where closures over all of it would be made for each request (`bench -- authz`). */
interface Asked {
  readonly active: Active
  readonly x: Exchange
  readonly question: Question
  readonly options: DecideOptions
  readonly atMs: number
  /** 0 where nobody wants to know how long it took. */
  readonly beganUs: number
  readonly context: EvaluationContext
}

function answered(asked: Asked, result: JsonValue | undefined): Verdict {
  const { x, question, options, atMs } = asked
  const { path, input, shadow } = question
  const verdict = question.judge(result)
  if (options.sink !== undefined)
    tell(options.sink, asked, result, verdict.kind === 'error' ? verdict.cause : undefined)
  if (shadow !== undefined) return verdict
  options.candidate?.compare({ id: x.id, path, input, atMs, result })
  return judged(verdict, options.switches)
}

function failed(asked: Asked, thrown: unknown): Verdict {
  const { question, options } = asked
  if (options.sink !== undefined) tell(options.sink, asked, undefined, thrown)
  const verdict = failure('policy_failed', thrown)
  return question.shadow === undefined ? judged(verdict, options.switches) : verdict
}

function tell(sink: DecisionSink, asked: Asked, result: JsonValue | undefined, error: unknown): void {
  const { active, x, question, options, context, atMs, beganUs } = asked
  const { path, input, shadow } = question
  sink({
    decisionId: x.id,
    path,
    input,
    engine: active.engine,
    result,
    ...(error !== undefined && { error }),
    revisions: active.revisions,
    ...(context.recorded !== undefined && { recorded: context.recorded }),
    ...(shadow !== undefined && { shadow: { policy: shadow } }),
    atMs,
    evaluationUs: options.clock.monotonicUs() - beganUs,
    traceparent: x.request.headers.single('traceparent'),
  })
}

/** Counts octets only where characters do not tell. */
function isLonger(text: string, maxBytes: number): boolean {
  return text.length > maxBytes || (text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes)
}
