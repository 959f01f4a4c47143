import { readFileSync } from 'node:fs'
import { messageOf } from '#base/errors.ts'
import { watchPath } from '#base/watch.ts'
import { type ParsedBundles, parseTrustBundleMap } from '../bundle/bundle.ts'
import type { TrustBundles } from '../bundle/trust-bundle.ts'
import type { BundleLayer } from './bundle-layer.ts'
import { Subscribers } from './subscribers.ts'

/** A SPIFFE trust bundle map in a file that is watched. What cannot be read leaves the last good one in force. */
export function openBundleMapFile(
  path: string,
  { intervalMs }: { readonly intervalMs?: number } = {},
): BundleLayer {
  const subscribers = new Subscribers<void>()
  let bundles: TrustBundles = new Map()
  let trouble: string | undefined
  const load = () => {
    const read = readMap(path)
    trouble = read.ok ? undefined : `${path}: ${read.why}`
    if (!read.ok) return
    bundles = read.bundles
    subscribers.tell()
  }
  load()
  const watch = watchPath(path, load, intervalMs === undefined ? {} : { intervalMs })
  return {
    current: () => bundles,
    subscribe: (listener) => subscribers.add(listener, undefined),
    problem: () => trouble,
    [Symbol.asyncDispose]: async () => watch[Symbol.dispose](),
  }
}

function readMap(path: string): ParsedBundles {
  try {
    return parseTrustBundleMap(readFileSync(path, 'utf8'))
  } catch (thrown) {
    return { ok: false, why: messageOf(thrown) }
  }
}
