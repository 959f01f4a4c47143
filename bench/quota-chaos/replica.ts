// One of several processes that share a store: makes calls, and writes down what became of them. Started by `run.ts`.
import { setTimeout as sleep } from 'node:timers/promises'
import { type Clock, systemClock } from '../../agent/base/clock.ts'
import { openQuotaStore } from '../../agent/limits/open.ts'
import type { Charge, ReserveAnswer } from '../../agent/limits/store/store.ts'
import { Random } from '../../test/harness/random.ts'
import { type Admission, openJournal, sharedUs } from './journal.ts'
import { type ChaosLimit, chargeOf, leaseMs, ledgerCharge, limits, slotLifeMs } from './limits.ts'

export interface ReplicaOptions {
  readonly name: string
  readonly port: number
  readonly seed: number
  readonly journal: string
  readonly stateDir: string
  readonly timeoutMs: number
  readonly callsPerSecond: number
  /** How far its clock is ahead of the others'. */
  readonly aheadMs: number
  /** What it does wrong, so that it is seen that this is noticed. */
  readonly wrong?: Wrong | undefined
}

export type Wrong = 'grants what is refused' | 'settles nothing' | 'settles at more'

/** What a process says of itself at its end. */
export interface ReplicaReport {
  readonly calls: number
  readonly cpuUs: number
  readonly rssMb: number
  /** Of all calls, sorted: every so many-th. */
  readonly waitsMs: readonly number[]
  readonly counts: Readonly<Record<string, number>>
}

const options = JSON.parse(process.argv[2] ?? '{}') as ReplicaOptions
const random = new Random(options.seed)
const journal = openJournal(options.journal)
let { aheadMs } = options
const clock: Clock = { ...systemClock, nowMs: () => Date.now() + aheadMs }
const store = await openQuotaStore(
  {
    store: `redis://127.0.0.1:${options.port}`,
    redis: { timeoutMs: options.timeoutMs, keyPrefix: 'chaos' },
    replica: options.name,
    stateDir: options.stateDir,
    leaseMs,
  },
  { clock, slotLifeMs },
)
const tickMs = 4
const ttlMs = 60_000
const waitsMs: number[] = []
let made = 0
let open = 0
let era = 0
/** Calls that failed for want of a store, though none of their limits denies then. */
let keptOut = 0
let isEnding = false
const cpu = process.cpuUsage()

export interface Message {
  /** Counted up whenever the store has forgotten everything. */
  readonly era?: number
  readonly aheadMs?: number
  /** `patient`: once nothing of it waits for the store any more. */
  readonly end?: 'at once' | 'patient'
}

let isPatient = true
process.on('message', (message: Message) => {
  if (message.era !== undefined) era = message.era
  if (message.aheadMs !== undefined) aheadMs = message.aheadMs
  if (message.end !== undefined) {
    isPatient = message.end === 'patient'
    isEnding = true
  }
})
// Whoever started this is gone.
process.on('disconnect', () => process.exit(1))
process.send?.({ ready: true })

let dueUs = sharedUs()
while (!isEnding) {
  await sleep(tickMs)
  const nowUs = sharedUs()
  // Calm and storm take turns, so that leases are drawn and limits are reached.
  const swell = 0.25 + 1.5 * (Math.floor(nowUs / 700_000) % 2)
  const everyUs = 1e6 / (options.callsPerSecond * swell)
  // What a stopped process did not call it does not make up for.
  dueUs = Math.max(dueUs, nowUs - 50_000)
  for (; dueUs < nowUs; dueUs += everyUs) call()
}
while (open > 0) await sleep(10)
// With a store that has been well for a while, so that what waited has arrived.
for (
  let wellMs = 0;
  isPatient && wellMs < 1500;
  wellMs = store.health.problem() === undefined ? wellMs + 50 : 0
)
  await sleep(50)
const counts = { ...store.health.counts }
await store[Symbol.asyncDispose]()
// In good order: nothing had to be left undelivered.
if (store.health.counts.dropped === 0) journal.write({ kind: 'ended' })
const spent = process.cpuUsage(cpu)
waitsMs.sort((a, b) => a - b)
const report: ReplicaReport = {
  calls: made,
  cpuUs: spent.user + spent.system,
  rssMb: process.memoryUsage().rss / (1 << 20),
  waitsMs: Array.from(
    { length: 1000 },
    (_, index) => waitsMs[Math.floor((index * waitsMs.length) / 1000)] ?? 0,
  ),
  counts: { ...counts, keptOut, dropped: store.health.counts.dropped },
}
process.send?.({ report }, () => process.exit(0))

function call(): void {
  const id = `${options.name}-${options.seed}-${made++}`
  // Most calls need not ask the store.
  const isLeased = random.below(4) > 0
  // Some need not even have it.
  const isForgiven = random.below(6) === 0
  const ledger = ledgerCharge(`${options.name}-${options.seed}-era${era}-`, 1 + random.below(4), isLeased)
  const chosen = limits.filter((limit) => {
    if (isForgiven) return limit.onStoreFailure !== 'deny' && random.below(2) === 0
    return isLeased ? limit.isLeased && random.below(2) === 0 : random.below(3) === 0
  })
  const charges = chosen.map((limit) => chargeOf(limit, 1 + random.below(4)))
  const runsMs = random.below(random.below(50) === 0 ? 2000 : 40)
  open++
  ask(
    [...charges, ledger],
    (given) => store.reserve(id, given, ttlMs),
    (answer, asked) => {
      waitsMs.push((asked.afterUs - asked.beforeUs) / 1000)
      noteKeptOut(answer, charges)
      const isWronglyGranted = options.wrong === 'grants what is refused' && answer.kind === 'refused'
      if (answer.kind !== 'granted' && !isWronglyGranted) {
        open--
        return
      }
      journal.write({
        kind: 'admitted',
        id,
        ...asked,
        costs: costsOf(chosen, charges),
        ledger: ledger.key.id,
      })
      const grows = random.below(4) === 0
      setTimeout(() => (grows ? grow({ id, chosen, charges, ledger }) : end({ id, chosen, charges })), runsMs)
    },
  )
}

function noteKeptOut(answer: ReserveAnswer, charges: readonly Charge[]): void {
  if (answer.kind === 'failed' && charges[answer.index]?.onStoreFailure !== 'deny') keptOut++
}

interface Call {
  readonly id: string
  readonly chosen: readonly ChaosLimit[]
  readonly charges: readonly Charge[]
}

/** Charges more for a call that runs, then ends it; sometimes without waiting for the answer. */
function grow(call: Call & { readonly ledger: Charge }): void {
  const { id, chosen, charges, ledger } = call
  const more = charges.map((charge) => ({
    ...charge,
    cost: charge.rule.kind === 'concurrency' ? 0 : random.below(3),
  }))
  const given = [...more, { ...ledger, cost: random.below(3) }]
  const isPatient = random.below(4) > 0
  ask(
    given,
    (given) => store.topUp(id, 1, given, ttlMs),
    (answer, asked) => {
      if (!isPatient) return
      noteKeptOut(answer, more)
      if (answer.kind !== 'granted') return end(call)
      const grown = { ...asked, id: `${id}+`, costs: costsOf(chosen, more), ledger: ledger.key.id }
      journal.write({ kind: 'admitted', ...grown })
      end(call, more)
    },
  )
  if (!isPatient) end(call)
}

/** Settles a call at some of what was charged, of what came last the least. */
function end({ id, chosen, charges }: Call, more: readonly Charge[] = []): void {
  const taken = charges.map(({ cost, rule }, index) => {
    const all = cost + (more[index]?.cost ?? 0)
    return rule.kind === 'concurrency' ? cost : Math.floor((all * random.below(5)) / 4)
  })
  const first = charges.map(({ cost }, index) => Math.min(cost, taken[index] ?? 0))
  const unitsOf = (units: readonly number[]) =>
    Object.fromEntries(chosen.map(({ name }, index) => [name, units[index] ?? 0]))
  // Of the ledger more may be taken than was reserved: debts arrive too.
  const took = random.below(9)
  const atUs = sharedUs()
  journal.write({ kind: 'settled', id, atUs, units: { ...unitsOf(first), ledger: took } })
  if (more.length > 0) {
    const later = taken.map((units, index) => units - (first[index] ?? 0))
    journal.write({ kind: 'settled', id: `${id}+`, atUs, units: unitsOf(later) })
  }
  settle(id, [...taken, took])
  open--
}

function costsOf(chosen: readonly ChaosLimit[], charges: readonly Charge[]): Record<string, number> {
  return Object.fromEntries(chosen.map(({ name }, index) => [name, charges[index]?.cost ?? 0]))
}

/** Asks, and tells the answer with the time before and after. */
function ask(
  charges: readonly Charge[],
  question: (charges: readonly Charge[]) => ReserveAnswer | Promise<ReserveAnswer>,
  told: (answer: ReserveAnswer, asked: Pick<Admission, 'beforeUs' | 'afterUs' | 'wallMs'>) => void,
): void {
  const wallMs = Date.now()
  const beforeUs = sharedUs()
  const heard = (answer: ReserveAnswer) => {
    told(answer, { beforeUs, afterUs: sharedUs(), wallMs })
  }
  const answer = question(charges)
  if (answer instanceof Promise) void answer.then(heard)
  else heard(answer)
}

function settle(id: string, actuals: readonly number[]): void {
  if (options.wrong === 'settles nothing') return
  const more = options.wrong === 'settles at more' ? 1 : 0
  void store.settle(
    id,
    actuals.map((actual) => actual + more),
  )
}
