import type { Clock } from '#base/clock.ts'
import type { JsonValue } from '#base/json.ts'
import type { Exchange } from '#decision/exchange.ts'
import { deny, failure, type Verdict } from '#decision/verdict.ts'
import type { EvaluationContext } from './builtins/builtin.ts'
import type { DecisionSink } from './decided.ts'
import type { Engine } from './engine/engine.ts'
import { InputDocument } from './engine/input-document.ts'
import { policyInput } from './input/input.ts'
import { verdictOf } from './result.ts'

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
}

/** Input text longer than this is refused: a policy has no business with payloads. */
const maxInputCharacters = 1 << 20

/** Asks the policy about a request. */
export function decide(active: Active, x: Exchange, options: DecideOptions): Verdict | Promise<Verdict> {
  const input = policyInput(x)
  if ('fault' in input) return deny('request_malformed', String(input.fault))
  const document = new InputDocument(input)
  const characters = active.engine.readsValue ? document.characters : document.text.length
  if (characters > maxInputCharacters) return deny('request_malformed', 'the policy input is too large')
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
    return verdict
  }

  #failed(thrown: unknown): Verdict {
    this.#tell(undefined, thrown)
    return failure('policy_failed', thrown)
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

/** The revisions in force in one text. */
export function revisionOf({ revisions }: Active): string {
  return Object.values(revisions).join(',')
}
