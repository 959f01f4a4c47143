import { SluiceError } from '#base/errors.ts'
import type { JsonObject } from '#base/json.ts'
import { type Prepared, preparePolicy } from '../../engine/prepared.ts'
import { unaskedRule } from '../../log/unasked.ts'
import { refuseModules } from '../bundle.ts'
import type { Compiler, Target } from '../compile.ts'
import { entrypointsOfPlan, type Snapshot } from '../contents.ts'
import type { Claims } from '../freshness.ts'
import { type Draft, mergeAt } from '../merge.ts'
import { type Part, readPart } from '../part.ts'
import { checkRootsApart } from '../roots.ts'

/** What the engine must be able to answer, and what it answers where the bundles can. */
export interface Wanted {
  readonly decisions: readonly string[]
  readonly optional: readonly string[]
  /** What is asked about logs: a rule for it that is no entrypoint is refused, for it would never be asked. */
  readonly logged?: readonly string[]
  /** What is run: modules, or plans. `wasm` if absent. */
  readonly target?: Target
}

/** A policy of which the plan is to be compiled. */
export interface Planned {
  /** The text of the plan. */
  readonly plan: string
  readonly data: JsonObject
  /** Named in errors. */
  readonly place: string
}

/** Bundles that are to be read, and made one policy of where all of a set are there. */
export interface Task {
  readonly parts: ReadonlyMap<string, Part>
  readonly isWhole: boolean
  readonly wanted: Wanted
}

/** What was made of them; it can be handed from thread to thread. */
export interface Assembly {
  /** By bundle. */
  readonly claims: ReadonlyMap<string, Claims>
  readonly policies: readonly (Prepared | Planned)[]
  /** Which of the policies answers an entrypoint. */
  readonly answers: ReadonlyMap<string, number>
}

/**
 * Reads bundles and makes one policy of them: all their data is one document, which every module sees, and a decision is
 * answered by the module that is named for it. Rules of one module do not see those of another; so it is under OPA. Takes
 * long where there is much data.
 *
 * @throws SluiceError for what cannot be used, does not go together, or lacks a decision.
 */
export async function assemble({ parts, isWhole, wanted }: Task, compiler: Compiler): Promise<Assembly> {
  const bundles = new Map([...parts].map(([name, part]) => [name, readPart(part)]))
  const claims = new Map([...bundles].map(([name, snapshot]) => [name, claimsOf(snapshot)]))
  if (!isWhole) return { claims, policies: [], answers: new Map() }
  checkRootsApart(new Map([...bundles].map(([name, { manifest }]) => [name, manifest.roots])))
  const place = [...bundles.keys()].join(', ')
  const { target = 'wasm' } = wanted
  const artefacts = await artefactsOf(bundles, wanted, compiler, target)
  const data = dataOf([...bundles.values()], place)
  const distinct = [...new Set(artefacts.values())]
  const made = distinct.map((artefact) =>
    target === 'plan' ? planned(artefact, data, place) : prepared(artefact, data, place),
  )
  const answers = new Map<string, number>()
  for (const [entrypoint, artefact] of artefacts) {
    const index = distinct.indexOf(artefact)
    if (made[index]?.entrypoints.has(entrypoint)) answers.set(entrypoint, index)
  }
  const missing = wanted.decisions.find((decision) => !answers.has(decision))
  if (missing !== undefined) {
    const found = `entrypoints ${[...answers.keys()].join(', ')}`
    const expected = `the entrypoint ${missing} (opa build -e ${missing})`
    throw new SluiceError({ code: 'policy_module_refused', place, found, expected })
  }
  const sources = [...bundles.values()].flatMap(({ rego }) => [...rego.values()].map(String))
  const unasked = unaskedRule(sources, new Set(answers.keys()), wanted.logged ?? [])
  if (unasked !== undefined)
    throw new SluiceError({
      code: 'policy_module_refused',
      place,
      found: `a rule ${unasked} that is no entrypoint, so that the decision log could not ask it`,
      expected: `the entrypoint ${unasked} (opa build -e ${unasked})`,
    })
  return { claims, policies: made.map(({ policy }) => policy), answers }
}

interface Made {
  readonly policy: Prepared | Planned
  readonly entrypoints: { has(entrypoint: string): boolean }
}

function prepared(wasm: Uint8Array, data: JsonObject, place: string): Made {
  const policy = preparePolicy({ wasm, data, place })
  return { policy, entrypoints: policy.policy.entrypoints }
}

function planned(artefact: Uint8Array, data: JsonObject, place: string): Made {
  const content = Buffer.from(artefact.buffer, artefact.byteOffset, artefact.byteLength)
  const entrypoints = new Set(entrypointsOfPlan(content, place))
  return { policy: { plan: content.toString(), data, place }, entrypoints }
}

function claimsOf({ manifest, signedBy }: Snapshot): Claims {
  return { manifest, ...(signedBy && { signedBy }) }
}

/** Modules or plans by the entrypoint that they answer. */
async function artefactsOf(
  bundles: ReadonlyMap<string, Snapshot>,
  { decisions, optional }: Wanted,
  compiler: Compiler,
  target: Target,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const built = [...bundles].filter(([, bundle]) => bundle[target].size > 0)
  // What was built for the other engine is not compiled again: its Rego is no longer whole.
  const loose = [...bundles].filter(
    ([, { wasm, plan, rego }]) => wasm.size === 0 && plan.size === 0 && rego.size > 0,
  )
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
  const artefact = await compiler.compile(new Map(loose), { required: decisions, optional, target })
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
