import { createHash } from 'node:crypto'
import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import { pause } from '#base/pause.ts'
import { parseDump, readConfigDump } from './dump.ts'
import type { Expectations } from './expectations.ts'
import { auditEnvoyConfig } from './judge.ts'
import type { Finding } from './rule.ts'

/** What is known of the Envoy beside the agent. */
export interface PostureState {
  /** Of the last dump that could be read. */
  readonly findings: readonly Finding[]
  /** Why the last look saw nothing, or that there was none yet. */
  readonly failure: string | undefined
  /** Wall time of the last look that saw the configuration, ms since the epoch. */
  readonly lastSuccessMs: number | undefined
  readonly successes: number
  readonly failures: number
}

export interface Posture extends AsyncDisposable {
  state(): PostureState
}

export interface PostureOptions {
  /** Envoy's admin address, `host:port` or `unix:/path`. */
  readonly admin: string
  readonly everyMs: number
  readonly expected: Expectations
  readonly clock?: Clock
  readonly read?: (admin: string, options: { readonly signal: AbortSignal }) => Promise<Buffer>
  readonly wait?: (ms: number, signal: AbortSignal) => Promise<void>
  /** Called when findings came or went, never for the same again. */
  readonly onChange?: (change: {
    readonly come: readonly Finding[]
    readonly gone: readonly Finding[]
  }) => void
  /** Called when a look failed for another reason than the one before, and with `undefined` when one succeeds again. */
  readonly onFailure?: (failure: string | undefined) => void
}

/** After a failed look the next one comes sooner: Envoy may only just be starting. */
const firstRetryMs = 1000
const maxRetryMs = 5000

/**
 * Looks at the configuration of a running Envoy now and from time to time, until it is disposed of. Never throws: a look
 * that fails is a state.
 */
export function openPosture(options: PostureOptions): Posture {
  const { admin, everyMs, expected, clock = systemClock, read = readConfigDump, wait = pause } = options
  const { onChange = () => {}, onFailure = () => {} } = options
  const stopping = new AbortController()
  const { signal } = stopping

  let findings: readonly Finding[] = []
  let failure: string | undefined = 'not read yet'
  let lastSuccessMs: number | undefined
  let lastDigest: string | undefined
  let successes = 0
  let failures = 0

  async function look(): Promise<void> {
    const text = await read(admin, { signal })
    const digest = createHash('sha256').update(text).digest('base64')
    // What is the same as before needs no second judgement.
    if (digest !== lastDigest) {
      const found = auditEnvoyConfig(parseDump(admin, text), expected)
      const before = findings
      findings = found
      lastDigest = digest
      const come = without(found, before)
      const gone = without(before, found)
      if (come.length > 0 || gone.length > 0) onChange({ come, gone })
    }
    successes++
    lastSuccessMs = clock.nowMs()
  }

  async function run(): Promise<void> {
    let failed = 0
    while (!signal.aborted) {
      try {
        await look()
        if (failed > 0) onFailure(undefined)
        failure = undefined
        failed = 0
      } catch (thrown) {
        if (signal.aborted) return
        const text = messageOf(thrown)
        failed++
        failures++
        if (text !== failure) onFailure(text)
        failure = text
      }
      const retryMs = Math.min(everyMs, maxRetryMs, firstRetryMs * 2 ** (failed - 1))
      await wait(failed === 0 ? everyMs : retryMs, signal)
    }
  }
  const running = run()

  return {
    state: () => ({ findings, failure, lastSuccessMs, successes, failures }),
    [Symbol.asyncDispose]: () => {
      stopping.abort()
      return running
    },
  }
}

const keyOf = ({ id, setting, place }: Finding) => `${id} ${setting} ${place}`

function without(findings: readonly Finding[], others: readonly Finding[]): readonly Finding[] {
  const known = new Set(others.map(keyOf))
  return findings.filter((finding) => !known.has(keyOf(finding)))
}
