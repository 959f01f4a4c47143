import { gzipSync } from 'node:zlib'
import type { JsonObject } from '#base/json.ts'
import { unpackBundle } from './archive.ts'
import { readContents, type Snapshot } from './contents.ts'
import { readJson } from './data-file.ts'
import { refuse } from './refuse.ts'
import type { SignedBy, Verification } from './signature/signature.ts'
import { type TarEntry, writeTar } from './tar.ts'

export { unpackBundle } from './archive.ts'

/** What a bundle brings for one decision. */
export interface Bundle {
  readonly revision: string
  readonly wasm: Buffer
  readonly data: JsonObject
  /** Who vouches for it; absent where no keys are configured. */
  readonly signedBy?: SignedBy
}

/**
 * Reads one OPA bundle (`tar.gz`) and finds the module for `entrypoint`.
 *
 * @throws SluiceError naming the file and the member.
 */
export function readBundle(
  bytes: Buffer,
  place: string,
  entrypoint: string,
  verification?: Verification,
): Bundle {
  const contents = readContents(unpackBundle(bytes, place), place, verification)
  if (contents.kind === 'delta') return refuse(place, 'patch.json', 'a delta bundle', 'a snapshot')
  const wasm = contents.wasm.get(entrypoint)
  if (wasm === undefined) return refuseModules(place, [contents], entrypoint)
  const { manifest, data, signedBy } = contents
  return { revision: manifest.revision, wasm, data, ...(signedBy && { signedBy }) }
}

/** The same, built with `opa build -t plan`. */
export interface PlanBundle extends Omit<Bundle, 'wasm'> {
  /** The text of its plan. */
  readonly plan: string
}

/** Reads one OPA bundle with the plan for `entrypoint`. @throws SluiceError naming the file and the member. */
export function readPlanBundle(
  bytes: Buffer,
  place: string,
  entrypoint: string,
  verification?: Verification,
): PlanBundle {
  const contents = readContents(unpackBundle(bytes, place), place, verification)
  if (contents.kind === 'delta') return refuse(place, 'patch.json', 'a delta bundle', 'a snapshot')
  const plan = contents.plan.get(entrypoint)
  if (plan === undefined) return refuseModules(place, [contents], entrypoint, 'plan')
  const { manifest, data, signedBy } = contents
  return { revision: manifest.revision, plan: plan.toString(), data, ...(signedBy && { signedBy }) }
}

/** @throws SluiceError that says which modules or plans there are instead of the one for `entrypoint`. */
export function refuseModules(
  place: string,
  bundles: readonly Snapshot[],
  entrypoint: string,
  target: 'wasm' | 'plan' = 'wasm',
): never {
  const what = target === 'wasm' ? 'module' : 'plan'
  const entrypoints = bundles.flatMap((bundle) => [...bundle[target].keys()])
  const isForOther = bundles.some((bundle) => bundle[target === 'wasm' ? 'plan' : 'wasm'].size > 0)
  const none =
    target === 'wasm'
      ? `no wasm module${isForOther ? ', only a plan (for policy.engine: compiled)' : ''}`
      : `no plan${isForOther ? ', only a wasm module (for policy.engine: wasm)' : ''}`
  const found = entrypoints.length === 0 ? none : `${what}s for ${entrypoints.join(', ')}`
  const member = target === 'wasm' ? '.manifest' : 'plan.json'
  return refuse(place, member, found, `a ${what} for ${entrypoint} (opa build -t ${target} -e ${entrypoint})`)
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
