import { z } from 'zod'
import { isJsonObject, type JsonObject } from '#base/json.ts'
import type { Members } from './archive.ts'
import { isDataFile, readDataFile, readJson } from './data-file.ts'
import { type Draft, mergeAt } from './merge.ts'
import { type PatchOperation, readPatch } from './patch.ts'
import { refuse } from './refuse.ts'
import { dataOutside, isUnder, overlapIn, plainPath } from './roots.ts'
import { type SignedBy, signaturesMember, type Verification, verifyBundle } from './signature/signature.ts'

/** What a bundle says of itself. */
export interface Manifest {
  readonly revision: string
  readonly roots: readonly string[]
  /** Modules by the decision that they answer. */
  readonly wasm: readonly { readonly entrypoint: string; readonly module: string }[]
  readonly regoVersion?: number
  readonly fileRegoVersions?: Readonly<Record<string, number>>
}

/** A whole bundle. */
export interface Snapshot {
  readonly kind: 'snapshot'
  readonly manifest: Manifest
  readonly data: JsonObject
  /** Modules by entrypoint. */
  readonly wasm: ReadonlyMap<string, Buffer>
  /** The plan by each entrypoint that it has. */
  readonly plan: ReadonlyMap<string, Buffer>
  readonly rego: Members
  /** Who vouches for it; absent where it is not signed. */
  readonly signedBy?: SignedBy
}

/** What changes in the data of the snapshot before it. */
export interface Delta {
  readonly kind: 'delta'
  readonly manifest: Manifest
  readonly patch: readonly PatchOperation[]
}

const manifestSchema = z.looseObject({
  revision: z.string().default(''),
  roots: z.array(z.string()).nullish(),
  wasm: z.array(z.looseObject({ entrypoint: z.string(), module: z.string() })).nullish(),
  rego_version: z.int().min(0).max(1).optional(),
  file_rego_versions: z.record(z.string(), z.int().min(0).max(1)).optional(),
})

/**
 * Reads a bundle. With `verification` it must be signed, unless that makes the signature optional; without, it must not
 * be, for nobody could tell what the signature is worth.
 *
 * @throws SluiceError naming the bundle and the member.
 * @see https://www.openpolicyagent.org/docs/management-bundles#bundle-file-format
 */
export function readContents(members: Members, place: string, verification?: Verification): Snapshot | Delta {
  const isSigned = members.has(signaturesMember)
  if (isSigned && verification === undefined)
    refuse(place, signaturesMember, 'a signature', 'an unsigned bundle: no key to verify with is configured')
  const patch = patchIn(members)
  if (patch !== undefined) {
    if (patch !== 'patch.json') refuse(place, patch, 'a patch in a folder', 'patch.json at the top')
    // OPA signs no delta bundle, and takes none where it demands signatures.
    const isAllowed =
      verification === undefined || verification.isOptional || verification.allowsUnsignedDelta
    if (isSigned || isAllowed !== true)
      refuse(place, patch, 'a delta bundle', 'a snapshot: delta bundles cannot be signed')
    return readDelta(members, place)
  }
  // Before anything in it is believed.
  const mustVerify = verification !== undefined && (isSigned || verification.isOptional !== true)
  const signedBy = mustVerify ? verifyBundle(members, verification, place) : undefined
  const manifest = readManifest(members, place)
  const data = readData(members, place)
  const outside = dataOutside(manifest.roots, data)
  if (outside !== undefined)
    refuse(place, 'data.json', `data at ${outside}`, `data under the roots ${manifest.roots.join(', ')}`)
  return {
    kind: 'snapshot',
    manifest,
    data,
    wasm: readModules(members, manifest, place),
    plan: readPlan(members, manifest, place),
    rego: new Map([...members].filter(([path]) => path.endsWith('.rego'))),
    ...(signedBy && { signedBy }),
  }
}

/** Whether it is a change to a bundle, by what it has. */
export function isDelta(members: Members): boolean {
  return patchIn(members) !== undefined
}

function patchIn(members: Members): string | undefined {
  return [...members.keys()].find((path) => /(^|\/)patch\.json$/.test(path))
}

function readDelta(members: Members, place: string): Delta {
  const foreign = [...members.keys()].find((path) => path !== '.manifest' && path !== 'patch.json')
  if (foreign !== undefined)
    refuse(place, foreign, 'a file beside patch.json', 'only patch.json and .manifest')
  const manifest = readManifest(members, place)
  const patch = readPatch(members.get('patch.json') ?? Buffer.alloc(0), place, manifest.roots)
  return { kind: 'delta', manifest, patch }
}

function readManifest(members: Members, place: string): Manifest {
  const name = '.manifest'
  const other = [...members.keys()].find((path) => /\.manifest(\.pb)?$/.test(path) && path !== name)
  if (other !== undefined) refuse(place, other, 'a manifest of another kind or place', '.manifest at the top')
  const content = members.get(name)
  const parsed = manifestSchema.safeParse(content === undefined ? {} : readJson(content, place, name))
  if (!parsed.success) return refuse(place, name, z.prettifyError(parsed.error), 'a manifest')
  const { revision, roots, wasm, rego_version, file_rego_versions } = parsed.data
  const plain = (roots ?? ['']).map(plainPath)
  const overlap = overlapIn(plain)
  if (overlap !== undefined)
    refuse(place, name, `the roots ${overlap.join(' and ')}`, 'roots that do not overlap')
  return {
    revision,
    roots: plain,
    wasm: wasm ?? [],
    ...(rego_version !== undefined && { regoVersion: rego_version }),
    ...(file_rego_versions !== undefined && { fileRegoVersions: file_rego_versions }),
  }
}

function readModules(members: Members, { wasm, roots }: Manifest, place: string): Map<string, Buffer> {
  const modules = new Map<string, Buffer>()
  for (const { entrypoint, module } of wasm) {
    const path = module.replace(/^\/+/, '')
    const content = members.get(path)
    if (content === undefined) return refuse(place, path, 'no such member', 'the module that .manifest names')
    if (!isUnder(roots, entrypoint))
      refuse(place, '.manifest', `the entrypoint ${entrypoint}`, `one under the roots ${roots.join(', ')}`)
    if (modules.has(entrypoint))
      refuse(place, '.manifest', `the entrypoint ${entrypoint} twice`, 'one module for each entrypoint')
    modules.set(entrypoint, content)
  }
  return modules
}

/** What of a plan must be known to choose it; whether it is one is for the engine to say. */
const planSchema = z.looseObject({
  plans: z.looseObject({ plans: z.array(z.looseObject({ name: z.string() })) }),
})

/** Which decisions a plan answers. @throws SluiceError */
export function entrypointsOfPlan(content: Buffer, place: string): readonly string[] {
  const name = 'plan.json'
  const parsed = planSchema.safeParse(readJson(content, place, name))
  return parsed.success
    ? parsed.data.plans.plans.map((plan) => plan.name)
    : refuse(place, name, z.prettifyError(parsed.error), 'a plan (opa build -t plan)')
}

function readPlan(members: Members, { roots }: Manifest, place: string): Map<string, Buffer> {
  const content = members.get('plan.json')
  if (content === undefined) return new Map()
  const entrypoints = entrypointsOfPlan(content, place)
  const foreign = entrypoints.find((entrypoint) => !isUnder(roots, entrypoint))
  if (foreign !== undefined)
    refuse(place, 'plan.json', `the entrypoint ${foreign}`, `one under the roots ${roots.join(', ')}`)
  return new Map(entrypoints.map((entrypoint) => [entrypoint, content]))
}

function readData(members: Members, place: string): JsonObject {
  const data: Draft = {}
  for (const [path, content] of members) {
    if (!isDataFile(path)) continue
    const folder = path.split('/').slice(0, -1)
    const value = readDataFile(content, place, path)
    if (folder.length === 0 && !isJsonObject(value))
      return refuse(place, path, 'JSON that is no object', 'a JSON object')
    mergeAt(data, folder, value, (at) =>
      refuse(place, path, `${at.join('.')} twice or reserved`, 'each value in one file only'),
    )
  }
  return data as JsonObject
}
