import { closeSync, fstatSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Recorder } from '#decision/pipeline.ts'
import type { Verdict } from '#decision/verdict.ts'

const maxText = 512
const tailBytes = 65_536

/**
 * The record: one JSON line a decision in `decisions.jsonl`, numbered without gaps, across restarts too. Each line is
 * handed to the operating system before the decision is answered; a line that cannot be written throws, which refuses
 * the request. Bodies, tokens and header values are never in it.
 *
 * @throws SluiceError when the directory or the file cannot be written.
 */
export function openAudit(options: { readonly dir: string; readonly clock?: Clock }): Recorder & Disposable {
  const { dir, clock = systemClock } = options
  const path = join(dir, 'decisions.jsonl')
  let file: number
  let sequence: number
  try {
    mkdirSync(dir, { recursive: true, mode: 0o750 })
    file = openSync(path, 'a+', 0o640)
    sequence = resume(file)
  } catch (cause) {
    throw new SluiceError({
      code: 'audit_unwritable',
      place: path,
      found: messageOf(cause),
      expected: 'a writable file',
      cause,
    })
  }
  return {
    decided: (x, verdict, phase) => {
      // What Envoy lets through after an allowed answer adds nothing to the record; a refused answer does.
      if (phase === 'response' && verdict.kind === 'allow') return
      const line = `${JSON.stringify(record(sequence, clock.nowMs(), x, verdict, phase))}\n`
      const bytes = Buffer.from(line)
      const written = writeSync(file, bytes)
      if (written !== bytes.length) throw new Error(`only ${written} of ${bytes.length} bytes were written`)
      sequence++
    },
    [Symbol.dispose]: () => closeSync(file),
  }
}

function record(
  sequence: number,
  nowMs: number,
  x: Exchange,
  verdict: Verdict,
  phase: 'request' | 'response',
): object {
  const { request, peer, tenant, call, label, route, policy } = x
  const query = request.path.indexOf('?')
  return {
    seq: sequence,
    time: new Date(nowMs).toISOString(),
    id: x.id,
    phase,
    api: request.api,
    verdict: verdict.kind,
    ...(verdict.kind !== 'allow' && { reason: verdict.reason }),
    ...(verdict.kind === 'deny' && verdict.detail !== undefined && { detail: short(verdict.detail) }),
    ...(verdict.kind === 'error' && { detail: short(messageOf(verdict.cause)) }),
    method: short(request.method),
    path: short(query === -1 ? request.path : request.path.slice(0, query)),
    ...(peer && { peer: peer.spiffeId, certificate: peer.certificateSha256 }),
    ...(tenant && { tenant: tenant.name }),
    ...(call && { verb: call.verb, model: call.model, asked: call.version }),
    ...(route && { version: route.version, by: route.by, key: route.key }),
    ...(label && { zones: label.zones }),
    ...(policy && { policy: policy.revision }),
    epoch: x.resources.epoch,
  }
}

function short(text: string): string {
  return text.length > maxText ? `${text.slice(0, maxText)}…` : text
}

/**
 * The next sequence number of a file that exists. A last line that a crash cut off is closed by a new line and counted:
 * its number is not given again.
 */
function resume(file: number): number {
  const { size } = fstatSync(file)
  if (size === 0) return 1
  const tail = Buffer.alloc(Math.min(size, tailBytes))
  readSync(file, tail, 0, tail.length, size - tail.length)
  const text = tail.toString()
  const isTorn = !text.endsWith('\n')
  if (isTorn) writeSync(file, '\n')
  const lines = text.split('\n').filter((line) => line !== '')
  const whole = isTorn ? lines.slice(0, -1) : lines
  const last = whole.at(-1)
  const found = last === undefined ? 0 : Number(/^\{"seq":(\d+),/.exec(last)?.[1] ?? Number.NaN)
  if (Number.isNaN(found)) throw new Error('the last line is not a record')
  return found + (isTorn ? 2 : 1)
}
