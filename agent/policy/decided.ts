import type { JsonValue } from '#base/json.ts'
import type { NondeterministicCalls } from './builtins/builtin.ts'
import type { PolicyInput } from './engine/input-document.ts'

/** One evaluation as it happened: what the decision log is written from. */
export interface Decided {
  readonly decisionId: string
  /** The entrypoint, `envoy/authz/allow`. */
  readonly path: string
  readonly input: PolicyInput
  /** As Rego gave it; `undefined` where it is undefined or failed. */
  readonly result: JsonValue | undefined
  /** Why there is no result that could be used. */
  readonly error?: unknown
  /** Revisions of the bundles in force, by name. */
  readonly revisions: Readonly<Record<string, string>>
  /** What could not be known from the input alone. */
  readonly recorded?: NondeterministicCalls
  /** There where the result was never enforced. */
  readonly shadow?:
    | { readonly policy: string }
    | {
        /** Of a candidate, asked beside the policy in force: what that one said, and where they first differ. */
        readonly candidate: {
          readonly enforced: JsonValue | undefined
          readonly difference: string | undefined
        }
      }
  /** When the evaluation began, milliseconds since the epoch. */
  readonly atMs: number
  /** How long the evaluation took, microseconds. */
  readonly evaluationUs: number
  /** The client's `traceparent`, where it sent one. @see https://www.w3.org/TR/trace-context/ */
  readonly traceparent?: string | undefined
}

/** Is told of each evaluation, on the way of the request: it takes the event and returns at once. Must not throw. */
export type DecisionSink = (decided: Decided) => void
