import type { JsonObject, JsonValue } from '#base/json.ts'
import { readBundle } from '#policy/bundle/bundle.ts'
import type { Decided } from '#policy/decided.ts'
import { createEngine, type Engine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { buildBundle } from '../../harness/opa.ts'

/** An engine without entrypoints: no policy has a say in what is logged. */
export const silentEngine: Engine = { entrypoints: new Set(), builtins: [], evaluate: () => undefined }

/** A decision as the policy stage hands it over; change one thing. */
export function validDecided(change: Partial<Decided> & { readonly document?: JsonValue } = {}): Decided {
  const { document = { attributes: { request: { http: { method: 'GET' } } } }, ...rest } = change
  return {
    decisionId: 'd1',
    path: 'envoy/authz/allow',
    input: new InputDocument(document),
    engine: silentEngine,
    result: true,
    revisions: { policy: 'r1' },
    atMs: 1_790_000_000_120,
    evaluationUs: 12.5,
    ...rest,
  }
}

/** The engine of a policy whose package `system.log` is asked about events. */
export async function logEngine(rego: string, entrypoints: readonly string[]): Promise<Engine> {
  const decision = 'envoy/authz/allow'
  const bundle = await buildBundle({
    files: { 'log.rego': rego, 'authz.rego': 'package envoy.authz\n\nallow := input.answer\n' },
    entrypoint: decision,
    moreEntrypoints: entrypoints,
  })
  return createEngine({ ...readBundle(bundle, 'p', decision), place: 'p' })
}

export type Event = JsonObject
