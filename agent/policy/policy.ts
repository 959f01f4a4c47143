import { readFileSync } from 'node:fs'
import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import { watchPath } from '#base/watch.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { ALLOW, deny, failure, type Verdict } from '#decision/verdict.ts'
import { readBundle } from './bundle.ts'
import { type DownloadConfig, startDownload } from './download/download.ts'
import { createEngine, type Engine } from './engine/engine.ts'
import { policyInput } from './input.ts'
import { wellFormedJson } from './json-text.ts'
import { verdictOf } from './result.ts'
import type { Verification } from './signature/signature.ts'

export type { DownloadConfig } from './download/download.ts'
export type { Verification } from './signature/signature.ts'

export interface PolicyStatus {
  /** Of the bundle in force. */
  readonly revision?: string
  readonly activatedAtMs?: number
  /** Why what was read last is not in force. */
  readonly lastError?: string
}

export interface Policy extends Disposable {
  readonly stage: Stage
  status(): PolicyStatus
  /** Whether a bundle is in force; until then every request is refused. */
  isReady(): boolean
}

interface Active {
  readonly engine: Engine
  readonly decision: string
  readonly revision: string
  readonly activatedAtMs: number
}

/** Input text longer than this is refused: a policy has no business with payloads. */
const maxInputCharacters = 1 << 20

/**
 * Loads a bundle, from a file that is watched or a server that is asked again and again. A new one is checked whole before
 * it takes effect, at once; a bad one is refused and the last good one stays.
 */
export function openPolicy(options: {
  readonly source: { readonly file: string } | { readonly download: DownloadConfig }
  /** The decision's path, for example `envoy/authz/allow`. */
  readonly decision: string
  /** Keys that bundles must be signed with; read anew for each load, so that a key can be replaced with the bundle. */
  readonly verification?: () => Verification
  readonly clock?: Clock
  readonly watchIntervalMs?: number
  /** Told of each load: the revision in force, and why what was read is not. */
  readonly onLoad: (load: { readonly revision?: string; readonly problem?: string }) => void
}): Policy {
  const { source, decision, clock = systemClock, onLoad } = options
  let active: Active | undefined
  let lastError: string | undefined

  const tell = () =>
    onLoad({
      ...(active && { revision: active.revision }),
      ...(lastError !== undefined && { problem: lastError }),
    })
  const load = (bytes: () => Buffer, place: string): boolean => {
    try {
      const bundle = readBundle(bytes(), place, decision, options.verification?.())
      const engine = createEngine({ ...bundle, place })
      if (!engine.entrypoints.has(decision))
        throw new SluiceError({
          code: 'policy_module_refused',
          place,
          found: `entrypoints ${[...engine.entrypoints].join(', ')}`,
          expected: `the entrypoint ${decision} (opa build -e ${decision})`,
        })
      active = { engine, decision, revision: bundle.revision, activatedAtMs: clock.nowMs() }
      lastError = undefined
    } catch (thrown) {
      lastError = messageOf(thrown)
    }
    tell()
    return lastError === undefined
  }
  const live = 'file' in source ? watchFile(source.file) : download(source.download)

  function watchFile(path: string): Disposable {
    const again = () => void load(() => readFileSync(path), path)
    again()
    const { watchIntervalMs } = options
    return watchPath(path, again, watchIntervalMs === undefined ? {} : { intervalMs: watchIntervalMs })
  }

  function download(config: DownloadConfig): Disposable {
    return startDownload({
      config,
      offer: (bytes, place) => load(() => bytes, place),
      onProblem: (problem) => {
        lastError = problem
        tell()
      },
    })
  }

  return {
    stage: {
      name: 'policy',
      failureReason: 'policy_failed',
      request: (x) =>
        active === undefined ? failure('policy_not_loaded', lastError) : decide(active, x, clock),
    },
    status: () => ({
      ...(active && { revision: active.revision, activatedAtMs: active.activatedAtMs }),
      ...(lastError !== undefined && { lastError }),
    }),
    isReady: () => active !== undefined,
    [Symbol.dispose]: () => live[Symbol.dispose](),
  }
}

function decide(active: Active, x: Exchange, clock: Clock): Verdict {
  const input = policyInput(x)
  if ('fault' in input) return deny('request_malformed', String(input.fault))
  const text = wellFormedJson(JSON.stringify(input))
  if (text.length > maxInputCharacters) return deny('request_malformed', 'the policy input is too large')
  const result = active.engine.evaluate(active.decision, text, { nowNs: BigInt(clock.nowMs()) * 1_000_000n })
  const verdict = verdictOf(result, x.id)
  x.policy = { decisionId: x.id, revision: active.revision, isAllowed: verdict.kind === 'allow' }
  return verdict
}

/** A tenant's own list of models binds before any Rego runs, and without any. */
export function createTenantCeiling(): Stage {
  return {
    name: 'ceiling',
    failureReason: 'policy_failed',
    request: ({ tenant, call }) => {
      if (tenant === undefined || call === undefined) return ALLOW
      const { model, verb } = call
      // A call that computes, of which the model was not seen (ext_authz without the body), could be of any model.
      if (model === undefined)
        return verb.endsWith('infer') ? deny('model_not_permitted', 'the model was not seen') : ALLOW
      const isListed = tenant.models.some((pattern) =>
        pattern.endsWith('*') ? model.startsWith(pattern.slice(0, -1)) : model === pattern,
      )
      return isListed ? ALLOW : deny('model_not_permitted', `${tenant.name} does not list ${model}`)
    },
  }
}
