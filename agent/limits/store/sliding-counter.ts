import type { Counter, Instant, Part } from './counter.ts'
import { type CounterKey, type CounterRule, maxUnits } from './store.ts'

type SlidingRule = Extract<CounterRule, { kind: 'sliding' }>

/** What was used in each slice of a window; slices without use are not kept. */
export class SlidingCounter implements Counter {
  readonly kind = 'sliding'
  key: CounterKey | undefined
  place = -1
  isReset = false
  /** Ascending, with what was used in each at the same place of the other. */
  #slices: number[] = []
  #units: number[] = []
  #sum = 0
  #sliceUs = 0
  #sliceCount = 0

  waitUs(rule: SlidingRule, cost: number, now: Instant): number {
    const limit = Math.min(rule.limit, maxUnits)
    const need = Math.max(cost, 1)
    if (need > limit) return Number.POSITIVE_INFINITY
    this.#enter(rule, now)
    let excess = this.#sum + need - limit
    if (excess <= 0) return 0
    for (let place = 0; place < this.#slices.length; place++) {
      excess -= this.#units[place] as number
      if (excess <= 0) return this.#endUs(place) - now.monotonicUs
    }
    return 0
  }

  remaining(rule: SlidingRule, now: Instant): number {
    this.#enter(rule, now)
    return Math.max(0, Math.min(rule.limit, maxUnits) - this.#sum)
  }

  resetUs(rule: SlidingRule, now: Instant): number {
    this.#enter(rule, now)
    return this.#sum === 0 ? 0 : this.#endUs(this.#slices.length - 1) - now.monotonicUs
  }

  take(rule: SlidingRule, cost: number, now: Instant, part: Part | undefined): Part {
    const slice = this.#enter(rule, now)
    const left = this.#add(slice, cost, maxUnits)
    const scale = this.#sliceUs
    if (part === undefined) return { counter: this, reserved: cost, left, at: slice, scale, earlier: [] }
    this.#rescale(part)
    part.reserved += cost
    if (part.at === slice) part.left += left
    else {
      part.earlier.push(part.at, part.left)
      while ((part.earlier[0] as number) + this.#sliceCount < slice) part.earlier.splice(0, 2)
      part.at = slice
      part.left = left
    }
    return part
  }

  giveBack(units: number, part: Part, now: Instant): void {
    if (this.#sum === 0) return
    this.#drop(Math.floor(now.monotonicUs / this.#sliceUs))
    this.#rescale(part)
    let back = units - this.#remove(part.at, Math.min(units, part.left))
    for (let pair = part.earlier.length - 2; pair >= 0 && back > 0; pair -= 2) {
      const [slice, left] = [part.earlier[pair] as number, part.earlier[pair + 1] as number]
      back -= this.#remove(slice, Math.min(back, left))
    }
  }

  owe(rule: SlidingRule, units: number, debtCap: number, now: Instant): void {
    // An edit since the hold was taken goes before what the hold knows: its window could be shorter.
    const present = { ...rule, sliceUs: this.#sliceUs, sliceCount: this.#sliceCount }
    const slice = this.#enter(this.#sum > 0 ? present : rule, now)
    this.#add(slice, units, Math.min(rule.limit + debtCap, maxUnits))
  }

  end(): void {}

  adjust(rule: SlidingRule, back: number, now: Instant): void {
    const slice = this.#enter(rule, now)
    if (back < 0) {
      this.#add(slice, -back, maxUnits)
      return
    }
    let toGo = back
    while (toGo > 0 && this.#slices.length > 0) {
      const newest = this.#slices.length - 1
      toGo -= this.#remove(this.#slices[newest] as number, Math.min(toGo, this.#units[newest] as number))
    }
  }

  isIdle(now: Instant): boolean {
    if (this.#sum > 0) this.#drop(Math.floor(now.monotonicUs / this.#sliceUs))
    return this.#sum === 0
  }

  /** Forgets the slices that no longer count. Returns the present one; a clock that went back stands still. */
  #enter(rule: SlidingRule, now: Instant): number {
    if (this.#sliceUs !== rule.sliceUs) this.#recut(rule.sliceUs)
    this.#sliceCount = rule.sliceCount
    const slice = Math.floor(now.monotonicUs / rule.sliceUs)
    this.#drop(slice)
    return Math.max(slice, this.#slices.at(-1) ?? slice)
  }

  #drop(slice: number): void {
    while (this.#slices.length > 0 && (this.#slices[0] as number) + this.#sliceCount < slice) {
      this.#slices.shift()
      this.#sum -= this.#units.shift() as number
    }
  }

  #add(slice: number, units: number, cap: number): number {
    const put = Math.max(0, Math.min(units, cap - this.#sum))
    if (put === 0) return 0
    const newest = this.#slices.length - 1
    if (newest >= 0 && this.#slices[newest] === slice)
      this.#units[newest] = (this.#units[newest] as number) + put
    else {
      this.#slices.push(slice)
      this.#units.push(put)
    }
    this.#sum += put
    return put
  }

  /** Returns how many there were to take. */
  #remove(slice: number, units: number): number {
    const place = this.#slices.lastIndexOf(slice)
    if (place < 0) return 0
    const used = this.#units[place] as number
    const taken = Math.min(units, used)
    if (taken < used) this.#units[place] = used - taken
    else {
      this.#slices.splice(place, 1)
      this.#units.splice(place, 1)
    }
    this.#sum -= taken
    return taken
  }

  #endUs(place: number): number {
    return ((this.#slices[place] as number) + this.#sliceCount + 1) * this.#sliceUs
  }

  /** Slices of another length: each becomes the one that its end lies in, so that none counts for less long. */
  #recut(sliceUs: number): void {
    const [slices, units] = [this.#slices, this.#units]
    const oldSliceUs = this.#sliceUs
    this.#slices = []
    this.#units = []
    this.#sum = 0
    this.#sliceUs = sliceUs
    slices.forEach((slice, place) => {
      this.#add(recut(slice, oldSliceUs, sliceUs), units[place] as number, maxUnits)
    })
  }

  #rescale(part: Part): void {
    if (part.scale === this.#sliceUs) return
    part.at = recut(part.at, part.scale, this.#sliceUs)
    for (let pair = 0; pair < part.earlier.length; pair += 2)
      part.earlier[pair] = recut(part.earlier[pair] as number, part.scale, this.#sliceUs)
    part.scale = this.#sliceUs
  }
}

function recut(slice: number, fromUs: number, toUs: number): number {
  return Math.floor(((slice + 1) * fromUs - 1) / toUs)
}
