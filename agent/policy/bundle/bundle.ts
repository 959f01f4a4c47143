import { gunzipSync, gzipSync } from 'node:zlib'
import { z } from 'zod'
import { messageOf, SluiceError } from '#base/errors.ts'
import { isJsonObject, type JsonObject } from '#base/json.ts'
import { type SignedBy, signaturesMember, type Verification, verifyBundle } from './signature/signature.ts'
import { readTar, type TarEntry, writeTar } from './tar.ts'

/** What a bundle brings, whichever engine it is for. */
interface Contents {
  readonly revision: string
  readonly data: JsonObject
  /** Who vouches for it; absent where no keys are configured. */
  readonly signedBy?: SignedBy
}

/** What a bundle brings for one decision. */
export interface Bundle extends Contents {
  readonly wasm: Buffer
}

/** The same, built with `opa build -t plan`. */
export interface PlanBundle extends Contents {
  /** The text of its plan. */
  readonly plan: string
}

/** Unpacked. Data takes about nineteen times its JSON size in the runtime's memory. */
const maxBundleBytes = 64 << 20

const manifestSchema = z.looseObject({
  revision: z.string().optional(),
  roots: z.array(z.string()).optional(),
  wasm: z.array(z.looseObject({ entrypoint: z.string(), module: z.string() })).optional(),
})

/**
 * Reads an OPA bundle (`tar.gz`) and finds the module for `entrypoint`. With `verification` it must be signed; without,
 * it must not be, for nobody could tell what the signature is worth.
 *
 * @throws SluiceError naming the file and the member.
 * @see https://www.openpolicyagent.org/docs/management-bundles#bundle-file-format
 */
export function readBundle(
  bytes: Buffer,
  place: string,
  entrypoint: string,
  verification?: Verification,
): Bundle {
  const { entries, manifest, contents } = readContents(bytes, place, verification)
  const modules = manifest.wasm ?? []
  const resolver = modules.find((module) => module.entrypoint === entrypoint)
  if (resolver === undefined) {
    const found =
      modules.length === 0
        ? 'no wasm module'
        : `modules for ${modules.map((each) => each.entrypoint).join(', ')}`
    return refuse(
      place,
      '.manifest',
      found,
      `a module for ${entrypoint} (opa build -t wasm -e ${entrypoint})`,
    )
  }
  const modulePath = resolver.module.replace(/^\/+/, '')
  const wasm = entries.get(modulePath)
  if (wasm === undefined)
    return refuse(place, modulePath, 'no such member', 'the module that .manifest names')
  return { ...contents, wasm }
}

/** Reads an OPA bundle that was built with `-t plan`, signed or not as above. @throws SluiceError */
export function readPlanBundle(bytes: Buffer, place: string, verification?: Verification): PlanBundle {
  const { entries, contents } = readContents(bytes, place, verification)
  const plan = entries.get('plan.json')
  if (plan === undefined)
    return refuse(place, 'plan.json', 'no such member', 'a plan for the compiled engine (opa build -t plan)')
  return { ...contents, plan: plan.toString() }
}

function readContents(
  bytes: Buffer,
  place: string,
  verification: Verification | undefined,
): {
  readonly entries: ReadonlyMap<string, Buffer>
  readonly manifest: z.infer<typeof manifestSchema>
  readonly contents: Contents
} {
  const entries = unpackBundle(bytes, place)
  // Before anything in it is believed.
  const signedBy = verification && verifyBundle(entries, verification, place)
  const manifest = readManifest(entries, place)
  const roots = (manifest.roots ?? ['']).map((root) => root.replace(/^\/+|\/+$/g, ''))
  const data: Record<string, unknown> = {}
  for (const [path, content] of entries) {
    if (path.endsWith('.rego') || path.endsWith('.wasm') || path === '.manifest') continue
    if (!/(^|\/)data\.json$/.test(path)) {
      // OPA would read them, so that passing over them would change what the policy says.
      if (/(^|\/)data\.ya?ml$/.test(path))
        refuse(place, path, 'data in YAML', 'data.json (opa build writes it)')
      if (path === signaturesMember && verification === undefined)
        refuse(place, path, 'a signature', 'an unsigned bundle: no key to verify with is configured')
      continue
    }
    const value = readJson(content, place, path)
    if (!isJsonObject(value)) return refuse(place, path, 'JSON that is no object', 'a JSON object')
    const folder = path.split('/').slice(0, -1)
    mergeInto(data, folder, value, (at) =>
      refuse(place, path, `${at.join('.')} twice or reserved`, 'each value in one file only'),
    )
  }
  for (const path of leaves(data)) {
    if (!roots.some((root) => root === '' || `${path}/`.startsWith(`${root}/`))) {
      refuse(place, 'data.json', `data at ${path}`, `data under the roots ${roots.join(', ')}`)
    }
  }
  const contents = {
    revision: manifest.revision ?? '',
    data: data as JsonObject,
    ...(signedBy && { signedBy }),
  }
  return { entries, manifest, contents }
}

/** The same bundle with other data and another revision: how data changes without the `opa` CLI. */
export function repackBundle(
  bytes: Buffer,
  place: string,
  change: { readonly data: JsonObject; readonly revision: string },
): Buffer {
  const entries = unpackBundle(bytes, place)
  const manifest = {
    ...(readJson(entries.get('.manifest') as Buffer, place, '.manifest') as JsonObject),
    revision: change.revision,
  }
  const kept: TarEntry[] = [...entries]
    .filter(([path]) => !/(^|\/)data\.json$/.test(path) && path !== '.manifest')
    .map(([path, content]) => ({ path, content }))
  const changed: TarEntry[] = [
    { path: 'data.json', content: Buffer.from(JSON.stringify(change.data)) },
    { path: '.manifest', content: Buffer.from(JSON.stringify(manifest)) },
  ]
  return gzipSync(writeTar([...changed, ...kept]))
}

/** The members of a bundle by path, nothing read yet. @throws SluiceError when it is no archive. */
export function unpackBundle(bytes: Buffer, place: string): Map<string, Buffer> {
  let archive: Buffer
  try {
    archive = gunzipSync(bytes, { maxOutputLength: maxBundleBytes })
  } catch (cause) {
    throw new SluiceError({
      code: 'bundle_refused',
      place,
      found: messageOf(cause),
      expected: `a gzip archive of at most ${maxBundleBytes >> 20} MiB`,
      cause,
    })
  }
  try {
    return new Map(readTar(archive).map(({ path, content }) => [path, content]))
  } catch (cause) {
    throw new SluiceError({
      code: 'bundle_refused',
      place,
      found: messageOf(cause),
      expected: 'an OPA bundle (tar.gz)',
      cause,
    })
  }
}

function readManifest(entries: ReadonlyMap<string, Buffer>, place: string): z.infer<typeof manifestSchema> {
  const content = entries.get('.manifest')
  if (content === undefined) return refuse(place, '.manifest', 'no such member', 'a manifest')
  const parsed = manifestSchema.safeParse(readJson(content, place, '.manifest'))
  return parsed.success
    ? parsed.data
    : refuse(place, '.manifest', z.prettifyError(parsed.error), 'a manifest')
}

function readJson(content: Buffer, place: string, path: string): unknown {
  try {
    return JSON.parse(content.toString())
  } catch (cause) {
    return refuse(place, path, messageOf(cause), 'JSON')
  }
}

function mergeInto(
  target: Record<string, unknown>,
  folder: readonly string[],
  value: JsonObject,
  conflict: (at: readonly string[]) => never,
): void {
  let node = target
  for (const segment of folder) {
    if (segment === '__proto__') conflict(folder)
    if (!Object.hasOwn(node, segment)) node[segment] = {}
    if (!isJsonObject(node[segment])) conflict(folder)
    node = node[segment] as Record<string, unknown>
  }
  for (const [key, item] of Object.entries(value)) {
    // Assigning to it would change every object of the program.
    if (key === '__proto__') conflict([...folder, key])
    const known = node[key]
    if (!Object.hasOwn(node, key)) node[key] = item
    else if (isJsonObject(known) && isJsonObject(item)) mergeInto(node, [key], item, conflict)
    else conflict([...folder, key])
  }
}

/** Paths of what is not an object, with `/`. */
function leaves(value: unknown, path: readonly string[] = []): string[] {
  if (!isJsonObject(value)) return [path.join('/')]
  return Object.entries(value).flatMap(([key, item]) => leaves(item, [...path, key]))
}

function refuse(place: string, member: string, found: string, expected: string): never {
  throw new SluiceError({ code: 'bundle_refused', place: `${place}: ${member}`, found, expected })
}
