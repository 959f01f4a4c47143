import type { Waiting } from '#decision/exchange.ts'
import type { ReasonCode } from '#decision/reasons.ts'
import type { Passage } from './breaker.ts'
import type { Gate } from './gate.ts'
import type { ShedReason } from './observer.ts'
import type { Queued } from './queue/fair-queue.ts'

/** How its wait ends: its turn has come, or why it is refused. */
export type Turn = 'run' | Extract<ReasonCode, ShedReason>

/** One call, from where it asks to run until it has ended. */
export class Call implements Queued, Waiting {
  readonly gate: Gate
  readonly tenant: string
  readonly band: number
  readonly cost: number
  readonly weight: number
  /** The longest it may wait. */
  readonly atMostMs: number
  passage: Passage = 'pass'
  state: 'new' | 'waiting' | 'running' | 'ended' = 'new'
  /** Whether it is known what the server made of it. */
  isTold = false
  beganWaitingUs = 0
  /** Both are there while it waits. */
  resolve: ((turn: Turn) => void) | undefined
  stopTimer: (() => void) | undefined

  constructor(gate: Gate, options: Queued & { readonly atMostMs: number }) {
    this.gate = gate
    this.tenant = options.tenant
    this.band = options.band
    this.cost = options.cost
    this.weight = options.weight
    this.atMostMs = options.atMostMs
  }

  abandon(): void {
    this.gate.abandon(this)
  }
}
