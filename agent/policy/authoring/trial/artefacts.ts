import { gzipSync } from 'node:zlib'
import { isJsonObject } from '#base/json.ts'
import { unpackBundle } from '../../bundle/bundle.ts'
import { signaturesMember } from '../../bundle/signature/signature.ts'
import { writeTar } from '../../bundle/tar.ts'
import type { EngineChoice } from '../../policy.ts'

/** What stands in a bundle before it is believed: entrypoints by the engine that they were built for. */
export interface Artefacts {
  readonly wasm: readonly string[]
  readonly compiled: readonly string[]
  readonly roots: readonly string[]
  /** The bundle without its signature, where it has one. */
  readonly unsigned?: Buffer
}

/** @throws SluiceError where it is no bundle at all. What is wrong within it, the loader proper says. */
export function artefactsOf(bytes: Buffer, place: string): Artefacts {
  const members = unpackBundle(bytes, place)
  const { wasm, roots } = objectOf(members.get('.manifest'))
  const { plans } = objectOf(members.get('plan.json'))
  const isSigned = members.delete(signaturesMember)
  const entries = [...members].map(([path, content]) => ({ path, content }))
  return {
    wasm: namesIn(wasm, 'entrypoint'),
    compiled: namesIn(isJsonObject(plans) ? plans['plans'] : undefined, 'name'),
    roots: Array.isArray(roots) ? roots.map(String) : [''],
    ...(isSigned && { unsigned: gzipSync(writeTar(entries)) }),
  }
}

/** What the bundle was built for; the agent's default where that is both or neither. */
export function firstChoice({ wasm, compiled }: Artefacts): EngineChoice {
  return wasm.length === 0 && compiled.length > 0 ? 'compiled' : 'wasm'
}

function namesIn(list: unknown, key: string): readonly string[] {
  return Array.isArray(list) ? list.map((each) => String(isJsonObject(each) ? each[key] : '')) : []
}

function objectOf(content: Buffer | undefined): Readonly<Record<string, unknown>> {
  try {
    const parsed: unknown = JSON.parse(String(content))
    return isJsonObject(parsed) ? parsed : {}
  } catch {
    // The loader proper says what is wrong with it.
    return {}
  }
}
