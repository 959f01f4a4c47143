import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { messageOf, SluiceError } from '#base/errors.ts'
import { isJsonObject, type JsonValue } from '#base/json.ts'
import type { Verdict } from '#decision/verdict.ts'
import { answerVerdictOf } from '../../answer/verdict.ts'
import type { EvaluationContext } from '../../builtins/builtin.ts'
import { readBundle, unpackBundle } from '../../bundle/bundle.ts'
import { signaturesMember, type Verification } from '../../bundle/signature/signature.ts'
import { writeTar } from '../../bundle/tar.ts'
import { createEngine } from '../../engine/engine.ts'
import { InputDocument } from '../../engine/input-document.ts'
import { verdictOf } from '../../result.ts'
import { nativeBuiltins } from './native-builtins.ts'

/** What a person wants to know of a bundle. */
export interface Facts {
  readonly revision: string
  readonly roots: readonly string[]
  readonly entrypoints: readonly string[]
  /** Who signed it, where that was verified. */
  readonly signedBy?: string
  readonly builtins: { readonly native: readonly string[]; readonly host: readonly string[] }
  readonly wasmBytes: number
  /** Of the data as JSON. */
  readonly dataBytes: number
  readonly memoryBytes: number
  /** From the archive to an engine that can be asked. */
  readonly loadMs: number
}

/** A bundle in the real engine, for people to try. */
export interface Trial {
  readonly place: string
  /** The entrypoint that is asked when nobody says which. */
  readonly decision: string
  readonly facts: Facts
  memoryBytes(): number
  has(entrypoint: string): boolean
  /** @throws EvaluationError when the policy fails as a whole. */
  evaluate(
    entrypoint: string,
    input: JsonValue | undefined,
    context: EvaluationContext,
  ): Promise<JsonValue | undefined>
}

const conventional = 'envoy/authz/allow'

/**
 * Loads a bundle as activation does.
 *
 * @param options.decision the entrypoint; `envoy/authz/allow` or the only one where absent.
 * @param options.verification keys; without them a signature is passed over, unless `isStrict`: activation would refuse it.
 * @throws SluiceError for whatever activation would refuse, and for an entrypoint that is not there.
 */
export async function loadTrial(
  file: string,
  options: {
    readonly decision?: string | undefined
    readonly verification?: Verification | undefined
    readonly isStrict?: boolean
  } = {},
): Promise<Trial> {
  const read = readBytes(file)
  const { names, roots, unsigned } = manifestOf(read, file)
  const decision = options.decision?.replace(/^data\./, '').replaceAll('.', '/') ?? defaultDecision(names)
  if (decision === undefined || (names.length > 0 && !names.includes(decision)))
    throw new SluiceError({
      code: 'entrypoint_unknown',
      place: file,
      found: decision === undefined ? `entrypoints ${names.join(', ')}` : `no entrypoint ${decision}`,
      expected: decision === undefined ? '-e PATH with one of them' : `-e with one of ${names.join(', ')}`,
    })
  const bytes = options.verification === undefined && options.isStrict !== true ? (unsigned ?? read) : read
  const began = performance.now()
  const bundle = readBundle(bytes, file, decision, options.verification)
  const engine = await createEngine({ ...bundle, place: file })
  const loadMs = performance.now() - began
  if (!engine.entrypoints.has(decision))
    throw new SluiceError({
      code: 'policy_module_refused',
      place: file,
      found: `a module with the entrypoints ${[...engine.entrypoints].join(', ')}`,
      expected: `the entrypoint ${decision}, which the manifest names`,
    })
  return {
    place: file,
    decision,
    facts: {
      revision: bundle.revision,
      roots,
      entrypoints: [...engine.entrypoints].sort(),
      ...(bundle.signedBy && { signedBy: bundle.signedBy.keyId }),
      builtins: {
        native: nativeBuiltins(new WebAssembly.Module(bundle.wasm as BufferSource)),
        // Their numbers need not be consecutive.
        host: engine.builtins.filter((name) => name !== undefined).sort(),
      },
      wasmBytes: bundle.wasm.length,
      dataBytes: Buffer.byteLength(JSON.stringify(bundle.data)),
      memoryBytes: engine.memoryBytes,
      loadMs,
    },
    memoryBytes: () => engine.memoryBytes,
    has: (entrypoint) => engine.entrypoints.has(entrypoint),
    evaluate: async (entrypoint, input, context) =>
      engine.evaluate(entrypoint, input === undefined ? undefined : new InputDocument(input), context),
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

/** What stands in the manifest, before it is believed, and the bundle without its signature. */
function manifestOf(bytes: Buffer, place: string) {
  const members = unpackBundle(bytes, place)
  const manifest: unknown = jsonOf(members.get('.manifest'))
  const { wasm, roots } = isJsonObject(manifest) ? manifest : {}
  const modules = Array.isArray(wasm) ? wasm : []
  const names = modules.map((each) => String(isJsonObject(each) ? each['entrypoint'] : ''))
  const isSigned = members.delete(signaturesMember)
  const entries = [...members].map(([path, content]) => ({ path, content }))
  return {
    names,
    roots: Array.isArray(roots) ? roots.map(String) : [''],
    ...(isSigned && { unsigned: gzipSync(writeTar(entries)) }),
  }
}

function jsonOf(content: Buffer | undefined): unknown {
  try {
    return JSON.parse(String(content))
  } catch {
    // The loader proper says what is wrong with it.
    return undefined
  }
}

/** The loader proper complains where there is none at all. */
function defaultDecision(names: readonly string[]): string | undefined {
  if (names.length === 0 || names.includes(conventional)) return conventional
  const others = names.filter((name) => !name.startsWith('system/'))
  return others.length === 1 ? others[0] : undefined
}
