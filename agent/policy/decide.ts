import type { Clock } from '#base/clock.ts'
import type { JsonValue } from '#base/json.ts'
import type { Exchange } from '#decision/exchange.ts'
import { failure, type Verdict } from '#decision/verdict.ts'
import type { EvaluationContext } from './builtins/builtin.ts'
import type { DecisionSink } from './decided.ts'
import type { Engine } from './engine/engine.ts'
import { InputDocument } from './engine/input-document.ts'
import { policyInput } from './input/input.ts'
import { verdictOf } from './result.ts'
import { judged, malformed } from './strictness.ts'
import type { Switches } from './switches.ts'

/** What decides at one moment; a request keeps to the one it began with. */
export interface Active {
  readonly engine: Engine
  /** Of the bundles in force, by name. */
  readonly revisions: Readonly<Record<string, string>>
  readonly activatedAtMs: number
}

export interface DecideOptions {
  readonly decision: string
  readonly clock: Clock
  readonly sink?: DecisionSink | undefined
  readonly switches: Switches
}

/** Asks the policy about a request. */
export function decide(active: Active, x: Exchange, options: DecideOptions): Verdict | Promise<Verdict> {
  const { switches } = options
  const input = policyInput(x, switches)
  if ('fault' in input) return malformed(String(input.fault), switches)
  const document = new InputDocument(input)
  if (isLonger(document.text, switches.maxInputBytes))
    return malformed('the policy input is too large', switches)
  const evaluation = new Evaluation(active, x, document, options)
  return evaluation.run()
}

/** One question to the engine, and what becomes of its answer. */
class Evaluation {
  readonly #active: Active
  readonly #x: Exchange
  readonly #input: InputDocument
  readonly #options: DecideOptions
  readonly #atMs: number
  readonly #beganUs: number
  readonly #context: EvaluationContext

  constructor(active: Active, x: Exchange, input: InputDocument, options: DecideOptions) {
    this.#active = active
    this.#x = x
    this.#input = input
    this.#options = options
    this.#atMs = options.clock.nowMs()
    this.#beganUs = options.clock.monotonicUs()
    this.#context = {
      nowNs: BigInt(this.#atMs) * 1_000_000n,
      ...(options.sink && { recorded: new Map() }),
    }
  }

  run(): Verdict | Promise<Verdict> {
    let result: JsonValue | undefined | Promise<JsonValue | undefined>
    try {
      result = this.#active.engine.evaluate(this.#options.decision, this.#input, this.#context)
    } catch (thrown) {
      return this.#failed(thrown)
    }
    if (!(result instanceof Promise)) return this.#decided(result)
    return result.then(
      (late) => this.#decided(late),
      (thrown: unknown) => this.#failed(thrown),
    )
  }

  #decided(result: JsonValue | undefined): Verdict {
    const verdict = verdictOf(result, this.#x.id)
    this.#x.policy = {
      decisionId: this.#x.id,
      revision: revisionOf(this.#active),
      isAllowed: verdict.kind === 'allow',
    }
    this.#tell(result, verdict.kind === 'error' ? verdict.cause : undefined)
    return judged(verdict, this.#options.switches)
  }

  #failed(thrown: unknown): Verdict {
    this.#tell(undefined, thrown)
    return judged(failure('policy_failed', thrown), this.#options.switches)
  }

  #tell(result: JsonValue | undefined, error: unknown): void {
    const { sink, decision, clock } = this.#options
    if (sink === undefined) return
    sink({
      decisionId: this.#x.id,
      path: decision,
      input: this.#input,
      result,
      ...(error !== undefined && { error }),
      revisions: this.#active.revisions,
      ...(this.#context.recorded !== undefined && { recorded: this.#context.recorded }),
      atMs: this.#atMs,
      evaluationUs: clock.monotonicUs() - this.#beganUs,
      traceparent: this.#x.request.headers.single('traceparent'),
    })
  }
}

/** Counts octets only where characters do not tell. */
function isLonger(text: string, maxBytes: number): boolean {
  return text.length > maxBytes || (text.length * 3 > maxBytes && Buffer.byteLength(text) > maxBytes)
}

/** The revisions in force in one text. */
export function revisionOf({ revisions }: Active): string {
  return Object.values(revisions).join(',')
}
