import type { Members } from './archive.ts'
import { type Delta, isDelta, readContents, type Snapshot } from './contents.ts'
import { patched } from './patch.ts'
import { refuse } from './refuse.ts'
import type { Verification } from './signature/signature.ts'

/** A bundle, or a change to one, as it came: nothing of it is read yet. */
export type Raw =
  | {
      readonly kind: 'members'
      readonly members: Members
      /** Named in errors. */
      readonly place: string
      readonly verification: Verification | undefined
    }
  /** Made on the spot, of files that are no bundle. */
  | { readonly kind: 'ready'; readonly snapshot: Snapshot }

/** A bundle with the changes to it since, oldest first. */
export interface Part {
  readonly base: Raw
  readonly deltas: readonly Raw[]
}

/** More would be applied again and again each time something else changes. */
const maxDeltas = 100

/**
 * What a bundle is once something came for it.
 *
 * @throws SluiceError for a change where there is nothing to change, or where too many have come.
 */
export function partAfter(current: Part | undefined, raw: Raw): Part {
  if (raw.kind === 'ready' || !isDelta(raw.members)) return { base: raw, deltas: [] }
  if (current === undefined)
    return refuse(raw.place, 'patch.json', 'a delta bundle', 'a snapshot to begin with')
  if (current.deltas.length >= maxDeltas)
    return refuse(raw.place, 'patch.json', `${maxDeltas} delta bundles before it`, 'a snapshot again')
  return { base: current.base, deltas: [...current.deltas, raw] }
}

/** Bytes of all that is to be read. */
export function sizeOf({ base, deltas }: Part): number {
  let bytes = 0
  for (const raw of [base, ...deltas])
    if (raw.kind === 'members') for (const content of raw.members.values()) bytes += content.length
  return bytes
}

/** Who asks again about the same bundle gets what was read before. */
const known = new WeakMap<Raw, Snapshot>()

/** Reads it. @throws SluiceError for what cannot be used. */
export function readPart({ base, deltas }: Part): Snapshot {
  let snapshot = known.get(base) ?? readBase(base)
  known.set(base, snapshot)
  for (const delta of deltas) {
    const next = known.get(delta) ?? readDelta(snapshot, delta)
    known.set(delta, next)
    snapshot = next
  }
  return snapshot
}

function readBase(raw: Raw): Snapshot {
  if (raw.kind === 'ready') return raw.snapshot
  const contents = readContents(raw.members, raw.place, raw.verification)
  if (contents.kind === 'delta') return refuse(raw.place, 'patch.json', 'a delta bundle', 'a snapshot')
  return contents
}

function readDelta(before: Snapshot, raw: Raw): Snapshot {
  if (raw.kind === 'ready') return raw.snapshot
  const contents = readContents(raw.members, raw.place, raw.verification)
  return contents.kind === 'delta' ? changed(before, contents, raw.place) : contents
}

/** @throws SluiceError where the change is not one to what there is. */
function changed(current: Snapshot, delta: Delta, place: string): Snapshot {
  if (shape(delta) !== shape(current))
    refuse(place, '.manifest', 'other roots or modules than the snapshot has', 'the same ones')
  const { signedBy: _, ...rest } = current
  return {
    ...rest,
    manifest: { ...current.manifest, revision: delta.manifest.revision },
    data: patched(current.data, delta.patch, place),
  }
}

/** What a delta bundle must have in common with its snapshot. */
function shape({ manifest: { roots, wasm } }: Snapshot | Delta): string {
  return JSON.stringify([[...roots].sort(), wasm.map(({ entrypoint, module }) => [entrypoint, module])])
}
