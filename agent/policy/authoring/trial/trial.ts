import { readFileSync } from 'node:fs'
import { messageOf, SluiceError } from '#base/errors.ts'
import { isJsonObject, type JsonValue } from '#base/json.ts'
import type { Verdict } from '#decision/verdict.ts'
import { answerVerdictOf } from '../../answer/verdict.ts'
import type { EvaluationContext } from '../../builtins/builtin.ts'
import type { Verification } from '../../bundle/signature/signature.ts'
import { InputDocument } from '../../engine/input-document.ts'
import type { EngineChoice } from '../../policy.ts'
import { verdictOf } from '../../result.ts'
import { type Artefacts, artefactsOf, firstChoice } from './artefacts.ts'
import { type Loaded, loadCompiled, loadModule } from './load.ts'

/** What a person wants to know of a bundle. */
export interface Facts {
  /** What of it was loaded: its module, or its plan. */
  readonly engine: EngineChoice
  readonly revision: string
  readonly roots: readonly string[]
  readonly entrypoints: readonly string[]
  /** Who signed it, where that was verified. */
  readonly signedBy?: string
  readonly builtins: { readonly native: readonly string[]; readonly host: readonly string[] }
  readonly wasmBytes?: number
  readonly planBytes?: number
  /** Of the data as JSON. */
  readonly dataBytes: number
  /** Of the module; a compiled plan has none of its own. */
  readonly memoryBytes?: number
  /** From the archive to an engine that can be asked. */
  readonly loadMs: number
}

/** A bundle in the real engine, for people to try. */
export interface Trial {
  readonly place: string
  /** The entrypoint that is asked when nobody says which. */
  readonly decision: string
  readonly facts: Facts
  /** Of the module, now. */
  memoryBytes(): number | undefined
  has(entrypoint: string): boolean
  /** @throws EvaluationError when the policy fails as a whole. */
  evaluate(
    entrypoint: string,
    input: JsonValue | undefined,
    context: EvaluationContext,
  ): Promise<JsonValue | undefined>
}

const conventional = 'envoy/authz/allow'

export interface TrialOptions {
  readonly decision?: string | undefined
  readonly verification?: Verification | undefined
  readonly isStrict?: boolean
  readonly engine?: EngineChoice | undefined
}

/**
 * Loads a bundle as activation does.
 *
 * @param options.engine what evaluates; where absent, what the bundle was built for, its module before its plan.
 * @param options.decision the entrypoint; `envoy/authz/allow` or the only one where absent.
 * @param options.verification keys; without them a signature is passed over, unless `isStrict`: activation would refuse it.
 * @throws SluiceError for whatever activation would refuse, and for an entrypoint that is not there.
 */
export async function loadTrial(file: string, options: TrialOptions = {}): Promise<Trial> {
  const read = readBytes(file)
  return load(file, read, artefactsOf(read, file), options)
}

/** The same for each engine that the bundle was built for, or the one that is asked for. @throws SluiceError */
export async function loadTrials(file: string, options: TrialOptions = {}): Promise<readonly Trial[]> {
  const read = readBytes(file)
  const artefacts = artefactsOf(read, file)
  const isBoth = artefacts.wasm.length > 0 && artefacts.compiled.length > 0
  const engines = options.engine === undefined && isBoth ? (['wasm', 'compiled'] as const) : [options.engine]
  const trials: Trial[] = []
  for (const engine of engines) trials.push(load(file, read, artefacts, { ...options, engine }))
  return trials
}

function load(file: string, read: Buffer, artefacts: Artefacts, options: TrialOptions): Trial {
  const { verification, engine = firstChoice(artefacts) } = options
  const names = artefacts[engine]
  const decision = options.decision?.replace(/^data\./, '').replaceAll('.', '/') ?? defaultDecision(names)
  if (decision === undefined || (names.length > 0 && !names.includes(decision)))
    throw new SluiceError({
      code: 'entrypoint_unknown',
      place: file,
      found: decision === undefined ? `entrypoints ${names.join(', ')}` : `no entrypoint ${decision}`,
      expected: decision === undefined ? '-e PATH with one of them' : `-e with one of ${names.join(', ')}`,
    })
  const isPassedOver = verification === undefined && options.isStrict !== true
  const bytes = isPassedOver ? (artefacts.unsigned ?? read) : read
  const began = performance.now()
  const loaded: Loaded = (engine === 'wasm' ? loadModule : loadCompiled)(bytes, file, decision, verification)
  const loadMs = performance.now() - began
  const { bundle, memoryBytes, entrypoints } = loaded
  if (!entrypoints.has(decision))
    throw new SluiceError({
      code: 'policy_module_refused',
      place: file,
      found: `a module with the entrypoints ${[...entrypoints].join(', ')}`,
      expected: `the entrypoint ${decision}, which the manifest names`,
    })
  const memory = memoryBytes()
  return {
    place: file,
    decision,
    facts: {
      engine,
      revision: bundle.revision,
      roots: artefacts.roots,
      entrypoints: [...entrypoints].sort(),
      ...(bundle.signedBy && { signedBy: bundle.signedBy.keyId }),
      builtins: loaded.builtins,
      ...loaded.sizes,
      dataBytes: Buffer.byteLength(JSON.stringify(bundle.data)),
      ...(memory !== undefined && { memoryBytes: memory }),
      loadMs,
    },
    memoryBytes,
    has: (entrypoint) => entrypoints.has(entrypoint),
    evaluate: async (entrypoint, input, context) =>
      loaded.evaluate(entrypoint, input === undefined ? undefined : new InputDocument(input), context),
  }
}

/** The verdict that the agent makes of a result: about the request, or about its answer where the input is of that phase. */
export function verdictFor(input: JsonValue | undefined, result: JsonValue | undefined, id: string): Verdict {
  const serving = isJsonObject(input) ? input['serving'] : undefined
  if (!isJsonObject(serving) || serving['phase'] !== 'response') return verdictOf(result, id)
  const document = isJsonObject(serving['response']) ? serving['response'] : {}
  const json = document['body']
  return answerVerdictOf(result, { document, ...(json !== undefined && { json }) }, id)
}

/** The moment of an evaluation, given or now. */
export function contextAt(atMs: number = Date.now()): EvaluationContext {
  return { nowNs: BigInt(Math.round(atMs)) * 1_000_000n }
}

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (cause) {
    throw new SluiceError({
      code: 'file_unreadable',
      place: file,
      found: messageOf(cause),
      expected: 'a bundle (tar.gz)',
      cause,
    })
  }
}

/** The loader proper complains where there is none at all. */
function defaultDecision(names: readonly string[]): string | undefined {
  if (names.length === 0 || names.includes(conventional)) return conventional
  const others = names.filter((name) => !name.startsWith('system/'))
  return others.length === 1 ? others[0] : undefined
}
