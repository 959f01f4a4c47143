import type { Counter, Instant, Part } from './counter.ts'
import { type Calendar, type CounterKey, type CounterRule, maxUnits } from './store.ts'

type CalendarRule = Extract<CounterRule, { kind: 'calendar' }>

/** What was used in the present span. */
export class CalendarCounter implements Counter {
  readonly kind = 'calendar'
  key: CounterKey | undefined
  place = -1
  isReset = false
  #used = 0
  #startMs = Number.NEGATIVE_INFINITY
  #endMs = Number.NEGATIVE_INFINITY
  #calendar: Calendar | undefined

  waitUs(rule: CalendarRule, cost: number, now: Instant): number {
    const limit = Math.min(rule.limit, maxUnits)
    const need = Math.max(cost, 1)
    if (need > limit) return Number.POSITIVE_INFINITY
    return this.#usedAt(now) + need <= limit ? 0 : (this.#endAt(rule, now) - now.wallMs) * 1000
  }

  remaining(rule: CalendarRule, now: Instant): number {
    return Math.max(0, Math.min(rule.limit, maxUnits) - this.#usedAt(now))
  }

  resetUs(rule: CalendarRule, now: Instant): number {
    return this.#usedAt(now) === 0 ? 0 : (this.#endAt(rule, now) - now.wallMs) * 1000
  }

  take(rule: CalendarRule, cost: number, now: Instant, part: Part | undefined): Part {
    this.#enter(rule, now)
    const left = this.#add(cost, maxUnits)
    const at = this.#startMs
    if (part === undefined) return { counter: this, reserved: cost, left, at, scale: 1, earlier: none }
    part.left = part.at === at ? part.left + left : left
    part.reserved += cost
    part.at = at
    return part
  }

  giveBack(units: number, part: Part, now: Instant): void {
    if (part.at !== this.#startMs || now.wallMs >= this.#endMs) return
    this.#used = Math.max(0, this.#used - Math.min(units, part.left))
  }

  owe(rule: CalendarRule, units: number, debtCap: number, now: Instant): void {
    // An edit since the hold was taken goes before what the hold knows: its period could end too early.
    if (now.wallMs >= this.#endMs) this.#enter(rule, now)
    this.#add(units, Math.min(rule.limit + debtCap, maxUnits))
  }

  end(): void {}

  adjust(rule: CalendarRule, back: number, now: Instant): void {
    this.#enter(rule, now)
    if (back < 0) this.#add(-back, maxUnits)
    else this.#used = Math.max(0, this.#used - back)
  }

  isIdle(now: Instant): boolean {
    return this.#usedAt(now) === 0
  }

  #usedAt(now: Instant): number {
    return now.wallMs < this.#endMs ? this.#used : 0
  }

  /** The end of the span that this would be in. */
  #endAt(rule: CalendarRule, now: Instant): number {
    return this.#isIn(rule, now) ? this.#endMs : rule.calendar.spanAt(now.wallMs).endMs
  }

  #enter(rule: CalendarRule, now: Instant): void {
    if (this.#isIn(rule, now)) return
    const { startMs, endMs } = rule.calendar.spanAt(now.wallMs)
    this.#used = this.#usedAt(now)
    this.#startMs = startMs
    this.#endMs = endMs
    this.#calendar = rule.calendar
  }

  /** A clock that went back before the span does not open the one before again. */
  #isIn(rule: CalendarRule, now: Instant): boolean {
    return now.wallMs < this.#startMs || (now.wallMs < this.#endMs && this.#calendar === rule.calendar)
  }

  #add(units: number, cap: number): number {
    const put = Math.max(0, Math.min(units, cap - this.#used))
    this.#used += put
    return put
  }
}

/** Only sliding windows have earlier slices. */
const none: number[] = []
