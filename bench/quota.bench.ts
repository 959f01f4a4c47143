import { setTimeout as sleep } from 'node:timers/promises'
import { createGuardedStore } from '../agent/limits/guard/guard.ts'
import { createLeasedStore } from '../agent/limits/lease/lease.ts'
import { openRedisStore } from '../agent/limits/redis/store.ts'
import { createMemoryStore } from '../agent/limits/store/memory.ts'
import type { Calendar, Charge, QuotaStore } from '../agent/limits/store/store.ts'
import { startValkey } from '../test/harness/valkey.ts'
import type { BenchOptions, Row } from './bench.ts'

const always: Calendar = { spanAt: () => ({ startMs: 0, endMs: 4e12 }) }
const ttlMs = 60_000
const tenants = 100
/** What a real gateway does: a call each millisecond, settled a moment later. */
const paced = { callsPerSecond: 1000 }

/** What a decision costs: in memory, at a real Valkey, from a lease, and while Valkey stands still. */
export async function measure({ seconds, only }: BenchOptions): Promise<Row[]> {
  const cases: readonly (readonly [name: string, run: () => Promise<Row>])[] = [
    ['memory, 1 limit', () => inMemory('memory, 1 limit', 1, seconds)],
    ['memory, 5 limits', () => inMemory('memory, 5 limits', 5, seconds)],
    ['strict, 5 limits', () => strict(seconds)],
    ['leased, 1 limit', () => leased(seconds)],
    ['leased, in a row', () => leasedInARow(seconds)],
    ['Valkey stopped', () => stopped(seconds)],
  ]
  const rows: Row[] = []
  for (const [name, run] of cases) if (only === undefined || only === name) rows.push(await run())
  return rows
}

function chargesOf(count: number, tenant: number, more: Partial<Charge> = {}): Charge[] {
  return Array.from({ length: count }, (_, index) => ({
    key: { partition: `tenant-${tenant}`, id: `limit-${index}` },
    rule:
      index % 2 === 0
        ? { kind: 'gcra', burst: 1e6, rate: { tickUs: 1, weight: 1, drain: 1, capacity: 1e6 } }
        : { kind: 'calendar', limit: 1e12, calendar: always },
    cost: 1,
    isEnforced: true,
    debtCap: Number.POSITIVE_INFINITY,
    onStoreFailure: 'deny',
    isLeased: false,
    ...more,
  }))
}

async function inMemory(name: string, limits: number, seconds: number): Promise<Row> {
  const store = createMemoryStore()
  const charges = Array.from({ length: tenants }, (_, tenant) => chargesOf(limits, tenant))
  const actuals = new Array(limits).fill(1)
  const tape = new Tape(name)
  for (const endMs = performance.now() + seconds * 1000; performance.now() < endMs; ) {
    const id = tape.begin()
    store.reserve(id, charges[tape.calls % tenants] as Charge[], ttlMs)
    tape.decided()
    store.settle(id, actuals)
  }
  return tape.row(0)
}

async function strict(seconds: number): Promise<Row> {
  await using valkey = await startValkey()
  await using store = await openRedisStore({ url: `redis://127.0.0.1:${valkey.port}`, timeoutMs: 1000 })
  const charges = Array.from({ length: tenants }, (_, tenant) => chargesOf(5, tenant))
  return atPace('strict, 5 limits', store, seconds, (call) => charges[call % tenants] as Charge[])
}

async function leased(seconds: number): Promise<Row> {
  await using valkey = await startValkey()
  const redis = await openRedisStore({ url: `redis://127.0.0.1:${valkey.port}`, timeoutMs: 1000 })
  const guarded = createGuardedStore(redis, { local: createMemoryStore() })
  await using store = createLeasedStore(guarded, { leaseMs: 500 })
  // One tenant: what is asked for the first time is asked at the store.
  const charges = chargesOf(1, 0, { isLeased: true })
  await atPace('warm up', store, 1.5, () => charges)
  return atPace('leased, 1 limit', store, seconds, () => charges)
}

/** As fast as it goes: what a decision costs by itself, without a machine that has slept before each. */
async function leasedInARow(seconds: number): Promise<Row> {
  await using valkey = await startValkey()
  const redis = await openRedisStore({ url: `redis://127.0.0.1:${valkey.port}`, timeoutMs: 1000 })
  const guarded = createGuardedStore(redis, { local: createMemoryStore() })
  await using store = createLeasedStore(guarded, { leaseMs: 500 })
  const charges = chargesOf(1, 0, { isLeased: true })
  await atPace('warm up', store, 1.5, () => charges)
  const tape = new Tape('leased, in a row')
  const callsBefore = store.health.counts.calls
  for (const endMs = performance.now() + seconds * 1000; performance.now() < endMs; ) {
    for (let left = 20; left > 0; left--) {
      const id = tape.begin()
      const answer = store.reserve(id, charges, ttlMs)
      // One that no lease could serve waits for the store: that is `strict`.
      if (answer instanceof Promise) await answer
      else tape.decided()
      void store.settle(id, [1])
    }
    await sleep(1)
  }
  return tape.row(store.health.counts.calls - callsBefore)
}

async function stopped(seconds: number): Promise<Row> {
  await using valkey = await startValkey()
  const redis = await openRedisStore({ url: `redis://127.0.0.1:${valkey.port}`, timeoutMs: 25 })
  await using store = createGuardedStore(redis, { local: createMemoryStore(), flushMs: 5000 })
  const charges = Array.from({ length: tenants }, (_, tenant) =>
    chargesOf(1, tenant, { onStoreFailure: 'share' }),
  )
  for (const [tenant, list] of charges.entries()) await store.reserve(`warm-${tenant}`, list, ttlMs)
  valkey.kill('SIGSTOP')
  try {
    // Until it is given up some calls wait for their deadline.
    await atPace('warm up', store, 0.5, (call) => charges[call % tenants] as Charge[])
    return await atPace('Valkey stopped', store, seconds, (call) => charges[call % tenants] as Charge[])
  } finally {
    valkey.kill('SIGCONT')
  }
}

/** Calls at a steady pace, as many as are due, each settled once it is decided. */
async function atPace(
  name: string,
  store: QuotaStore,
  seconds: number,
  chargesOfCall: (call: number) => readonly Charge[],
): Promise<Row> {
  const tape = new Tape(name)
  const callsBefore = store.health.counts.calls
  const everyMs = 1000 / paced.callsPerSecond
  const endMs = performance.now() + seconds * 1000
  const underway: Promise<unknown>[] = []
  for (let dueMs = performance.now(); dueMs < endMs; ) {
    for (; dueMs <= performance.now(); dueMs += everyMs) {
      const startMs = performance.now()
      const id = tape.begin()
      const charges = chargesOfCall(tape.calls)
      const settle = () => {
        tape.decided(startMs)
        return store.settle(
          id,
          charges.map(() => 1),
        )
      }
      const answer = store.reserve(id, charges, ttlMs)
      if (answer instanceof Promise) underway.push(answer.then(settle))
      else settle()
    }
    await sleep(1)
  }
  await Promise.all(underway)
  return tape.row(store.health.counts.calls - callsBefore)
}

/** What is written down of each call. */
class Tape {
  calls = 0
  readonly #name: string
  readonly #waitsMs: number[] = []
  readonly #cpu = process.cpuUsage()
  readonly #beganMs = performance.now()
  #startMs = 0

  constructor(name: string) {
    this.#name = name
  }

  begin(): string {
    this.calls++
    this.#startMs = performance.now()
    return `${this.#name}-${this.calls}`
  }

  decided(startMs = this.#startMs): void {
    this.#waitsMs.push(performance.now() - startMs)
  }

  row(storeCalls: number): Row {
    const spent = process.cpuUsage(this.#cpu)
    const seconds = (performance.now() - this.#beganMs) / 1000
    this.#waitsMs.sort((a, b) => a - b)
    const at = (share: number) => this.#waitsMs[Math.floor(this.#waitsMs.length * share)] ?? 0
    return {
      name: this.#name,
      rps: this.calls / seconds,
      cpuUs: (spent.user + spent.system) / this.calls,
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      rssMb: process.memoryUsage().rss / (1 << 20),
      storeCallsPerRequest: storeCalls / this.calls,
    }
  }
}
