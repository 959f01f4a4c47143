import { SluiceError } from '#base/errors.ts'
import type { JsonObject } from '#base/json.ts'
import { type Engine, EvaluationError } from '../engine/engine.ts'
import type { StartEngine } from '../engine/starting.ts'
import { refuseModules } from './bundle.ts'
import type { Compile } from './compile.ts'
import type { Snapshot } from './contents.ts'
import { type Draft, mergeAt } from './merge.ts'
import { checkRootsApart } from './roots.ts'

/** What the engine must be able to answer, and what it answers where the bundles can. */
export interface Wanted {
  readonly decisions: readonly string[]
  readonly optional: readonly string[]
}

/**
 * Makes one engine of bundles: all their data is one document, which every module sees, and a decision is answered by the
 * module that is named for it. Rules of one module do not see those of another; so it is under OPA.
 *
 * @throws SluiceError where they do not go together or lack a decision.
 */
export async function combine(
  bundles: ReadonlyMap<string, Snapshot>,
  wanted: Wanted,
  compile: Compile,
  starting: StartEngine,
): Promise<Engine> {
  checkRootsApart(new Map([...bundles].map(([name, { manifest }]) => [name, manifest.roots])))
  const place = [...bundles.keys()].join(', ')
  const artefacts = await artefactsOf(bundles, wanted, compile, starting.target)
  const data = dataOf([...bundles.values()], place)
  const engines = new Map<Buffer, Engine>()
  for (const artefact of new Set(artefacts.values()))
    engines.set(artefact, await starting.start({ artefact, data, place }))
  const byEntrypoint = new Map<string, Engine>()
  for (const [entrypoint, artefact] of artefacts) {
    const engine = engines.get(artefact)
    if (engine?.entrypoints.has(entrypoint)) byEntrypoint.set(entrypoint, engine)
  }
  for (const decision of wanted.decisions) {
    if (byEntrypoint.has(decision)) continue
    await closeAll(engines.values())
    const found = `entrypoints ${[...byEntrypoint.keys()].join(', ')}`
    const expected = `the entrypoint ${decision} (opa build -e ${decision})`
    throw new SluiceError({ code: 'policy_module_refused', place, found, expected })
  }
  const [only] = engines.values()
  return only !== undefined && engines.size === 1 ? only : dispatching(byEntrypoint, [...engines.values()])
}

/** Modules or plans by the entrypoint that they answer. */
async function artefactsOf(
  bundles: ReadonlyMap<string, Snapshot>,
  { decisions, optional }: Wanted,
  compile: Compile,
  target: StartEngine['target'],
): Promise<ReadonlyMap<string, Buffer>> {
  const built = [...bundles].filter(([, bundle]) => bundle[target].size > 0)
  const loose = [...bundles].filter(([, bundle]) => bundle[target].size === 0 && bundle.rego.size > 0)
  if (loose.length === 0) {
    const artefacts = new Map(built.flatMap(([, bundle]) => [...bundle[target]]))
    for (const decision of decisions)
      if (!artefacts.has(decision))
        refuseModules([...bundles.keys()].join(', '), [...bundles.values()], decision, target)
    return artefacts
  }
  if (built.length > 0) {
    // Compiled apart, rules of one would be undefined in the other, and `not` makes a permission of that.
    throw new SluiceError({
      code: 'bundle_refused',
      place: `bundles ${[...built, ...loose].map(([name]) => name).join(', ')}`,
      found: `${target} in ${built.map(([name]) => name).join(', ')} and only Rego in ${loose.map(([name]) => name).join(', ')}`,
      expected: `${target} in each bundle that has Rego (opa build -t ${target}), or in none`,
    })
  }
  const artefact = await compile(new Map(loose), { required: decisions, optional, target })
  return new Map([...decisions, ...optional].map((entrypoint) => [entrypoint, artefact]))
}

/** Nothing is parsed or copied again: what the roots keep apart is hung into one document. */
function dataOf(bundles: readonly Snapshot[], place: string): JsonObject {
  const [only] = bundles
  if (only !== undefined && bundles.length === 1) return only.data
  const data: Draft = {}
  for (const bundle of bundles) {
    mergeAt(data, [], bundle.data, (at) => {
      throw new SluiceError({
        code: 'bundle_refused',
        place,
        found: `data at ${at.join('.')} twice or reserved`,
        expected: 'each value in one bundle only',
      })
    })
  }
  return data as JsonObject
}

function dispatching(byEntrypoint: ReadonlyMap<string, Engine>, engines: readonly Engine[]): Engine {
  return {
    entrypoints: new Set(byEntrypoint.keys()),
    builtins: [...new Set([...byEntrypoint.values()].flatMap(({ builtins }) => builtins))],
    readsValue: engines.every(({ readsValue }) => readsValue === true),
    evaluate: (entrypoint, input, context) => {
      const engine = byEntrypoint.get(entrypoint)
      if (engine === undefined) throw new EvaluationError(`the policy has no entrypoint ${entrypoint}`)
      return engine.evaluate(entrypoint, input, context)
    },
    [Symbol.asyncDispose]: () => closeAll(engines),
  }
}

async function closeAll(engines: Iterable<Engine>): Promise<void> {
  await Promise.all([...engines].map((engine) => engine[Symbol.asyncDispose]?.()))
}
