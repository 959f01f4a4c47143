/** Who goes first while calls wait, and who is refused last. In that order. */
export const bands = ['premium', 'standard', 'batch'] as const
export type Band = (typeof bands)[number]

/** What the queue has to know of a call. */
export interface Queued {
  readonly tenant: string
  /** Index into {@link bands}. */
  readonly band: number
  /** What it takes of what is shared, as far as is known before it ran: at least 1. */
  readonly cost: number
  /** Its tenant's share. */
  readonly weight: number
}

/** The calls of one tenant. */
interface Flow<C> {
  readonly calls: C[]
  /** Virtual time at which its next call may begin, while calls wait; before, at which its last one ends. */
  tag: number
}

interface Lane<C> {
  readonly flows: Map<string, Flow<C>>
  /** The virtual time: the tag with which the last call began. */
  now: number
  waiting: number
  /** Turns of bands above since this one waits without one. */
  skipped: number
}

/** Tenants that are remembered beyond those that have calls waiting. */
const maxIdleFlows = 4096

/**
 * Calls that wait, in the order that gives each tenant its share: start-time fair queuing within a band, bands one above the
 * other, and now and then a turn for a band below, so that none waits for ever.
 *
 * Each call begins at a virtual time: where its tenant's last one ended, or now if that is over; it ends `cost / weight` later.
 * The least begins first. Two tenants that both have calls waiting never differ by more, of what they were given in
 * proportion to their weights, than one call of each; and one that was away has nothing saved up.
 *
 * @see Goyal, Vin, Cheng: Start-time Fair Queuing (1996); Jin, Chase, Kaur: SFQ(D) (2004), for more than one call at once
 */
export class FairQueue<C extends Queued> {
  readonly #lanes: readonly Lane<C>[] = bands.map(() => ({
    flows: new Map(),
    now: 0,
    waiting: 0,
    skipped: 0,
  }))
  readonly #lowerBandEvery: number
  #length = 0

  constructor(lowerBandEvery: number) {
    this.#lowerBandEvery = lowerBandEvery
  }

  get length(): number {
    return this.#length
  }

  waitingIn(band: number): number {
    return this.#lane(band).waiting
  }

  waitingOf({ tenant, band }: Pick<Queued, 'tenant' | 'band'>): number {
    return this.#lane(band).flows.get(tenant)?.calls.length ?? 0
  }

  add(call: C): void {
    const lane = this.#lane(call.band)
    const flow = this.#flow(lane, call.tenant)
    if (flow.calls.length === 0) flow.tag = Math.max(flow.tag, lane.now)
    flow.calls.push(call)
    lane.waiting++
    this.#length++
  }

  /** Counts a call that begins without having waited. */
  pass(call: C): void {
    const lane = this.#lane(call.band)
    const flow = this.#flow(lane, call.tenant)
    begin(lane, flow, call, Math.max(flow.tag, lane.now))
  }

  /** Takes out whose turn it is. */
  next(): C | undefined {
    const lane = this.#turn()
    if (lane === undefined) return undefined
    let first: Flow<C> | undefined
    for (const flow of lane.flows.values())
      if (flow.calls.length > 0 && (first === undefined || flow.tag < first.tag)) first = flow
    const call = first?.calls.shift()
    if (first === undefined || call === undefined) return undefined
    this.#took(lane)
    begin(lane, first, call, first.tag)
    return call
  }

  /** Takes out a call that waits no longer. @returns false where it does not wait here */
  remove(call: C): boolean {
    const lane = this.#lane(call.band)
    const calls = lane.flows.get(call.tenant)?.calls ?? []
    const at = calls.indexOf(call)
    if (at === -1) return false
    calls.splice(at, 1)
    this.#took(lane)
    return true
  }

  /** Takes out everything. */
  drain(): C[] {
    const all: C[] = []
    for (const lane of this.#lanes)
      for (const { calls } of lane.flows.values()) for (const call of calls.splice(0)) all.push(call)
    for (const lane of this.#lanes) lane.waiting = 0
    this.#length = 0
    return all
  }

  /**
   * Takes out a call that has less of a right to its place than the one that comes: the last one of whoever has most waiting in
   * the lowest band, be it below, or be it the same and even then more than the newcomer's tenant would.
   */
  yieldTo(comes: Pick<Queued, 'tenant' | 'band'>): C | undefined {
    for (let band = bands.length - 1; band >= comes.band; band--) {
      const lane = this.#lane(band)
      if (lane.waiting === 0) continue
      const longest = this.#longest(lane)
      const own = band === comes.band ? this.waitingOf(comes) + 1 : 0
      if (longest.length <= own) return undefined
      this.#took(lane)
      return longest.pop()
    }
    return undefined
  }

  /** What a call took turned out to be more or less than was thought. */
  correct({ tenant, band, weight }: Queued, by: number): void {
    const flow = this.#lane(band).flows.get(tenant)
    if (flow !== undefined) flow.tag += by / weight
  }

  /** The band whose turn it is: the highest, but for one below that was passed over often enough. */
  #turn(): Lane<C> | undefined {
    const waiting = this.#lanes.filter(({ waiting }) => waiting > 0)
    const chosen = waiting.findLast(({ skipped }) => skipped >= this.#lowerBandEvery) ?? waiting[0]
    if (chosen === undefined) return undefined
    for (const lane of waiting) if (lane !== chosen && this.#isAbove(chosen, lane)) lane.skipped++
    chosen.skipped = 0
    return chosen
  }

  #isAbove(one: Lane<C>, other: Lane<C>): boolean {
    return this.#lanes.indexOf(one) < this.#lanes.indexOf(other)
  }

  #longest(lane: Lane<C>): C[] {
    let longest: C[] = []
    for (const { calls } of lane.flows.values()) if (calls.length > longest.length) longest = calls
    return longest
  }

  #took(lane: Lane<C>): void {
    lane.waiting--
    this.#length--
    if (lane.waiting === 0) lane.skipped = 0
  }

  #lane(band: number): Lane<C> {
    return this.#lanes[band] as Lane<C>
  }

  #flow(lane: Lane<C>, tenant: string): Flow<C> {
    let flow = lane.flows.get(tenant)
    if (flow === undefined) {
      if (lane.flows.size >= maxIdleFlows) forgetIdle(lane)
      flow = { calls: [], tag: lane.now }
      lane.flows.set(tenant, flow)
    }
    return flow
  }
}

function begin<C extends Queued>(lane: Lane<C>, flow: Flow<C>, call: C, at: number): void {
  lane.now = Math.max(lane.now, at)
  flow.tag = at + call.cost / call.weight
}

/** Forgets tenants that a new one would be told from by nothing. */
function forgetIdle<C>(lane: Lane<C>): void {
  for (const [tenant, { calls, tag }] of lane.flows)
    if (calls.length === 0 && tag <= lane.now) lane.flows.delete(tenant)
}
