import { ConnectionFault } from './frames.ts'

/** What may come at once, and how much of it comes back each second. */
interface Allowance {
  readonly burst: number
  readonly perSecond: number
}

/**
 * Frames that cost their sender nothing and bring no work: SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA and
 * CONTINUATION, unknown types. Envoy sends a few for each stream, so each stream brings some allowance with it
 * (CVE-2019-9511 to 9518, CVE-2024-27316).
 */
const idleFrames: Allowance = { burst: 2_000, perSecond: 1_000 }
const idleFramesPerStream = 10

/**
 * Streams that the peer resets before it got any answer (rapid reset, CVE-2023-44487). One that was answered costs
 * nothing: Envoy ends each good ext_proc stream with RST_STREAM.
 */
const unansweredResets: Allowance = { burst: 5_000, perSecond: 1_000 }

/** Notices a peer that keeps one connection busy with nothing. */
export class FloodGuard {
  readonly #nowMs: () => number
  readonly #left = { idle: idleFrames.burst, resets: unansweredResets.burst }
  #at: number

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
    this.#at = nowMs()
  }

  /** @throws ConnectionFault when it was one too many. */
  idleFrame(): void {
    if (--this.#left.idle < 0) this.#refillOrRefuse('frames that bring nothing')
  }

  unansweredReset(): void {
    if (--this.#left.resets < 0) this.#refillOrRefuse('streams that are reset at once')
  }

  /** Frames around a stream that does something are not idle. */
  work(): void {
    if (this.#left.idle < idleFrames.burst) this.#left.idle += idleFramesPerStream
  }

  #refillOrRefuse(what: string): void {
    const nowMs = this.#nowMs()
    const seconds = (nowMs - this.#at) / 1000
    this.#at = nowMs
    const left = this.#left
    left.idle = Math.min(idleFrames.burst, left.idle + seconds * idleFrames.perSecond)
    left.resets = Math.min(unansweredResets.burst, left.resets + seconds * unansweredResets.perSecond)
    if (left.idle < 0 || left.resets < 0) throw new ConnectionFault('ENHANCE_YOUR_CALM', what)
  }
}
