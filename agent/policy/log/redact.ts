import { messageOf } from '#base/errors.ts'
import type { JsonValue } from '#base/json.ts'
import type { Decided } from '../decided.ts'
import type { PolicyInput } from '../engine/input-document.ts'
import { credentialRules } from './credentials.ts'
import { type EventText, eventText, type LogEvent } from './event.ts'
import { applyMask, MaskError, parseMask } from './mask.ts'

/** What policy says about an event. */
export type Redacted =
  | { readonly kind: 'dropped' }
  | { readonly kind: 'kept'; readonly event: LogEvent; readonly text: EventText }
  /** Policy failed, or answered what is no answer: input and result are gone, `why` stands in the event. */
  | { readonly kind: 'erased'; readonly event: LogEvent; readonly text: EventText; readonly why: string }

/** Entrypoints that are asked, where the bundle has them. */
export interface RedactOptions {
  readonly mask: string
  readonly drop: string
}

/**
 * Asks the policy that decided what of the event may be logged: whether it is dropped, then what is masked in it. Both see
 * the event as it is; credentials are taken out of it before the answer of the mask is applied.
 */
export function redact(
  decided: Decided,
  event: LogEvent,
  options: RedactOptions,
): Redacted | Promise<Redacted> {
  const { entrypoints } = decided.engine
  const canDrop = entrypoints.has(options.drop)
  const canMask = entrypoints.has(options.mask)
  if (!canDrop && !canMask) return kept(decided, event, undefined)
  const question = new EventDocument(event, decided.input)
  const mask = (): Redacted | Promise<Redacted> =>
    canMask
      ? ask(decided, event, options.mask, question, (answer) => kept(decided, event, answer))
      : kept(decided, event, undefined)
  if (!canDrop) return mask()
  return ask(decided, event, options.drop, question, (answer) => {
    if (answer === true) return { kind: 'dropped' }
    // OPA takes whatever is not true for no; then nobody learns that the policy does not say what it is meant to.
    if (answer !== undefined && answer !== false)
      return erased(event, `${options.drop} answered neither true nor false`)
    return mask()
  })
}

/** Evaluates and goes on with the answer; whatever is thrown on the way erases the event. */
function ask(
  { engine, atMs }: Decided,
  event: LogEvent,
  entrypoint: string,
  question: PolicyInput,
  goOn: (answer: JsonValue | undefined) => Redacted | Promise<Redacted>,
): Redacted | Promise<Redacted> {
  const failed = (thrown: unknown) =>
    erased(
      event,
      `${entrypoint} ${thrown instanceof MaskError ? `answered no mask: ${messageOf(thrown)}` : 'failed'}`,
    )
  try {
    const answer = engine.evaluate(entrypoint, question, { nowNs: BigInt(atMs) * 1_000_000n })
    return answer instanceof Promise ? answer.then(goOn).catch(failed) : goOn(answer)
  } catch (thrown) {
    return failed(thrown)
  }
}

/** @throws MaskError where the answer is none. */
function kept({ input }: Decided, event: LogEvent, answer: JsonValue | undefined): Redacted {
  const rules = [...credentialRules(event), ...(answer === undefined ? [] : parseMask(answer))]
  if (rules.length === 0) return { kind: 'kept', event, text: eventText(event, input.text) }
  const { erased, masked, ...parts } = applyMask(event, rules)
  const isInputSame = parts.input === event.input
  const redacted = withLists({ ...event, ...parts }, erased, masked)
  return { kind: 'kept', event: redacted, text: eventText(redacted, isInputSame ? input.text : undefined) }
}

function erased(event: LogEvent, why: string): Redacted {
  const gone = ['input', 'result', 'nd_builtin_cache'] as const
  const there = gone.filter((part) => event[part] !== undefined).map((part) => `/${part}`)
  const { input: _input, result: _result, nd_builtin_cache: _cache, ...rest } = event
  const redacted = { ...withLists(rest, there, []), custom: { sluice: { erased_because: why } } }
  return { kind: 'erased', event: redacted, text: eventText(redacted), why }
}

/** Empty lists are left out. */
function withLists(event: LogEvent, erased: readonly string[], masked: readonly string[]): LogEvent {
  return { ...event, ...(erased.length > 0 && { erased }), ...(masked.length > 0 && { masked }) }
}

/** The event as the input of a policy. */
class EventDocument implements PolicyInput {
  readonly value: JsonValue
  readonly #input: PolicyInput
  #text: string | undefined

  constructor(event: LogEvent, input: PolicyInput) {
    this.value = event as unknown as JsonValue
    this.#input = input
  }

  get text(): string {
    this.#text ??= eventText(this.value as unknown as LogEvent, this.#input.text).bytes.toString()
    return this.#text
  }
}
