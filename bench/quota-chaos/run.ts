import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openRedisStore } from '../../agent/limits/redis/store.ts'
import { freePorts } from '../../test/harness/ports.ts'
import { Random } from '../../test/harness/random.ts'
import { startTcpProxy } from '../../test/harness/tcp-proxy.ts'
import { eventually, temporaryFolder } from '../../test/harness/temp.ts'
import { startValkey, type Valkey } from '../../test/harness/valkey.ts'
import {
  type Excess,
  excessAround,
  excessOf,
  type Gap,
  ledgersOf,
  type Taken,
  takenOf,
  times,
  withoutSilence,
} from './check.ts'
import { faults, forgetful, gentle, type Victims } from './faults.ts'
import { type Line, readJournal, sharedUs } from './journal.ts'
import {
  type ChaosLimit,
  leaseMs,
  ledgerCharge,
  ledgerLimit,
  ledgerRule,
  limits,
  slotLifeMs,
} from './limits.ts'
import type { Message, ReplicaOptions, ReplicaReport, Wrong } from './replica.ts'

export interface ChaosOptions {
  readonly seed: number
  /** When it ends: after a time, or after so many faults. */
  readonly until: { readonly seconds: number } | { readonly faults: number }
  readonly replicas?: number
  readonly callsPerSecond?: number
  /** For one command; a busy machine needs more. */
  readonly timeoutMs?: number
  /** Ends after that time without anything that goes wrong but this. */
  readonly wrong?: Wrong
  /** Does only what has this in its name. */
  readonly only?: string | undefined
  /** Told what is done, and when. */
  readonly onFault?: (name: string) => void
}

export interface ChaosResult {
  readonly admissions: number
  readonly faults: readonly string[]
  readonly kills: number
  /** Broken promises of limits that deny without their store. */
  readonly excesses: readonly Excess[]
  /** Limits of which at least seven tenths were taken in some span: of the others this says little. */
  readonly reached: readonly string[]
  /** Calls that were kept out though none of their limits denies without its store. */
  readonly keptOut: number
  /** Of the limit that is shared without its store: the worst span. */
  readonly shared: Excess | undefined
  /** What it may be at most. */
  readonly sharedBound: number
  /** Units that counters say too much and too little, of what processes settled. */
  readonly tooMuch: number
  readonly tooLittle: number
  /** Counters that were compared. */
  readonly ledgers: number
  readonly reports: readonly ReplicaReport[]
  readonly seconds: number
}

/** How far the clocks of replicas are ahead: one as all, one by whole spans, one by less. */
const clocksMs = [0, 7000, -430]

const program = join(import.meta.dirname, 'replica.ts')

/** Has processes share a real Valkey while things go wrong, and compares what they let through with what was promised. */
export async function runChaos(options: ChaosOptions): Promise<ChaosResult> {
  const { seed, until, replicas = 3, callsPerSecond = 250, timeoutMs = 100, only = '' } = options
  const random = new Random(seed)
  await using stack = new AsyncDisposableStack()
  const folder = stack.use(temporaryFolder())
  const servers = new Set<Valkey>()
  stack.defer(async () => {
    for (const server of servers) await server[Symbol.asyncDispose]()
  })
  const startServer = async (port?: number) => {
    const server = await startValkey({
      ...(port !== undefined && { port }),
      settings: ['--dir', folder.path, '--repl-diskless-sync-delay', '0', '--enable-debug-command', 'yes'],
    })
    servers.add(server)
    return server
  }
  let primary = await startServer()
  const proxies = await Promise.all(
    Array.from({ length: replicas }, async () => stack.use(await startTcpProxy(primary.port))),
  )
  const journals: { readonly path: string; readonly replica: number }[] = []
  const gaps: Gap[] = []
  const silences: { readonly replica: number; readonly fromUs: number; toUs: number }[] = []
  const children: ChildProcess[] = []
  /** Of replicas that were asked to end. */
  const farewells: ReplicaReport[] = []
  const clocks = proxies.map((_, index) => clocksMs[index % clocksMs.length] ?? 0)
  let era = 0
  /** How often a replica had a part of its own anew: it started, or its clock was set. */
  let anew = 0
  let kills = 0
  stack.defer(async () => {
    for (const child of children) await end(child)
  })
  const startReplica = async (index: number) => {
    const journal = join(folder.path, `${journals.length}.jsonl`)
    const replica: ReplicaOptions = {
      name: `r${index}`,
      port: proxies[index]?.port ?? 0,
      seed: seed * 1000 + journals.length,
      journal,
      stateDir: join(folder.path, `state-${index}`),
      timeoutMs,
      callsPerSecond,
      aheadMs: clocks[index] ?? 0,
      wrong: options.wrong,
    }
    journals.push({ path: journal, replica: index })
    const child = fork(program, [JSON.stringify(replica)], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    children[index] = child
    await once(child, 'message')
    tell(child, { era })
  }
  const signal = (index: number, name: NodeJS.Signals) => void children[index]?.kill(name)
  const victims: Victims = {
    proxies,
    signalReplica: signal,
    async killReplicas(indexes, meanwhile = async () => {}) {
      kills += indexes.length
      anew += indexes.length
      await Promise.all(indexes.map((index) => end(children[index])))
      await meanwhile()
      for (const index of indexes) await startReplica(index)
    },
    async endReplica(index) {
      anew++
      farewells.push(await farewell(children[index] as ChildProcess, 'at once'))
      await startReplica(index)
    },
    setClock(index, aheadMs) {
      anew++
      clocks[index] = aheadMs
      const child = children[index]
      if (child?.connected) tell(child, { aheadMs })
    },
    signalStore: (name) => primary.kill(name),
    async command(...words) {
      const [name = '', ...more] = words
      await primary.client.call(String(name), ...more)
    },
    async restartStore() {
      const { port } = primary
      primary.kill('SIGKILL')
      await primary.ended
      servers.delete(primary)
      await primary[Symbol.asyncDispose]()
      primary = await startServer(port)
    },
    async failOver() {
      const [port] = (await freePorts(1)) as [number]
      const next = await startServer(port)
      await next.client.call('REPLICAOF', '127.0.0.1', String(primary.port))
      await eventually('it follows', async () =>
        String(await next.client.info('replication')).includes('link_status:up'),
      )
      await primary.client.call('FAILOVER', 'TO', '127.0.0.1', String(port))
      await eventually('it has taken over', async () =>
        String(await next.client.info('replication')).includes('role:master'),
      )
      const before = primary
      primary = next
      for (const proxy of proxies) {
        proxy.target = port
        proxy.cut()
      }
      servers.delete(before)
      await before[Symbol.asyncDispose]()
    },
    async failOverLate(random) {
      const [port] = (await freePorts(1)) as [number]
      await using link = await startTcpProxy(primary.port)
      const next = await startServer(port)
      await next.client.call('REPLICAOF', '127.0.0.1', String(link.port))
      await eventually('it follows', async () =>
        String(await next.client.info('replication')).includes('link_status:up'),
      )
      link.isParted = true
      const fromUs = sharedUs()
      await sleep(10 + random.below(150))
      const before = primary
      before.kill('SIGKILL')
      await before.ended
      await next.client.call('REPLICAOF', 'NO', 'ONE')
      primary = next
      for (const proxy of proxies) {
        proxy.target = port
        proxy.cut()
      }
      // What was drawn from the first may be used until then, and by then whoever missed a write has asked.
      gaps.push({ fromUs, toUs: sharedUs() + Math.max(leaseMs, slotLifeMs / 3) * 1000 + 500_000 })
      servers.delete(before)
      await before[Symbol.asyncDispose]()
    },
    silent(replica, isSilent) {
      if (isSilent) silences.push({ replica, fromUs: sharedUs(), toUs: Number.POSITIVE_INFINITY })
      else
        for (const silence of silences)
          if (silence.replica === replica && silence.toUs > sharedUs()) silence.toUs = sharedUs()
    },
    forgotten() {
      era++
      for (const child of children) tell(child, { era })
    },
  }
  for (let index = 0; index < replicas; index++) await startReplica(index)

  const done: string[] = []
  const startUs = sharedUs()
  const names = Object.keys(faults).filter((name) => name.includes(only))
  if (names.length === 0)
    throw new Error(`nothing has '${only}' in its name; there are: ${Object.keys(faults).join(', ')}`)
  const mild = names.filter((name) => !forgetful.includes(name))
  /** From 0 to 1. */
  const progress = () =>
    'faults' in until ? done.length / until.faults : (sharedUs() - startUs) / 1e6 / until.seconds
  await sleep(400)
  if (options.wrong !== undefined && 'seconds' in until) await sleep(until.seconds * 1000)
  while (progress() < 1) {
    // Towards the end nothing is forgotten, so that there is something to compare.
    const possible = progress() < 0.6 || mild.length === 0 ? names : mild
    const name = random.pick(possible)
    const beside = only === '' && random.below(3) === 0 ? [random.pick(gentle)] : []
    for (const each of [name, ...beside]) {
      options.onFault?.(each)
      done.push(each)
    }
    await Promise.all([name, ...beside].map((each) => faults[each]?.(victims, random)))
    await sleep(100 + random.below(500))
  }
  const reports = [...farewells, ...(await Promise.all(children.map((child) => farewell(child, 'patient'))))]
  const lines = journals.map(({ path }) => readJournal(path))
  const taken = mergeAll(
    journals.map(({ replica }, index) => {
      const own = takenOf([lines[index] as Line[]])
      const quiet = [...gaps, ...silences.filter((silence) => silence.replica === replica)]
      own.set('slots', withoutSilence(own.get('slots') ?? [], quiet))
      return own
    }),
  )
  const excesses = limits.flatMap((limit) => {
    const of = taken.get(limit.name) ?? []
    const part = partOf(limit, replicas)
    switch (limit.onStoreFailure) {
      case 'deny':
        return excessAround(limit, of, gaps) ?? []
      case 'share':
        // At worst once more, and each that is killed, or has another time, takes its part again.
        return excessOf(times(limit, 2 + gaps.length, (anew + 1) * part), of) ?? []
      case 'allow':
        return []
      default:
        return limit.onStoreFailure satisfies never
    }
  })
  const reached = limits.filter(
    (limit) => excessOf(times(limit, 0.7), taken.get(limit.name) ?? []) !== undefined,
  )
  const spans = limits.filter(
    ({ onStoreFailure, promise }) => onStoreFailure === 'share' && promise.kind === 'span',
  )
  const [shared] = spans.flatMap((limit) => excessOf(limit, taken.get(limit.name) ?? []) ?? [])
  const [sharing] = spans as [ChaosLimit]
  const { limit: sharedLimit } = sharing.promise as { limit: number }
  const { tooMuch, tooLittle, ledgers } = await compareLedgers(primary.port, lines, era)
  return {
    admissions: lines.flat().filter(({ kind }) => kind === 'admitted').length,
    faults: done,
    kills,
    excesses,
    reached: reached.map(({ name }) => name),
    shared,
    sharedBound: sharedLimit * (1 + gaps.length) + (anew + 1) * partOf(sharing, replicas),
    keptOut: reports.reduce((all, { counts }) => all + (counts['keptOut'] ?? 0), 0),
    tooMuch,
    tooLittle,
    ledgers,
    reports,
    seconds: (sharedUs() - startUs) / 1e6,
  }
}

/** What one replica may take of a limit without the store. */
function partOf({ promise }: ChaosLimit, replicas: number): number {
  return Math.floor((promise.kind === 'rate' ? promise.burst : promise.limit) / replicas)
}

function mergeAll(maps: readonly Map<string, Taken[]>[]): Map<string, Taken[]> {
  const all = new Map<string, Taken[]>()
  for (const map of maps) for (const [name, taken] of map) all.set(name, [...(all.get(name) ?? []), ...taken])
  return all
}

async function end(child: ChildProcess | undefined): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

function tell(child: ChildProcess, message: Message): void {
  child.send(message)
}

/** @param how a patient one is given the time to deliver everything */
async function farewell(child: ChildProcess, how: 'at once' | 'patient'): Promise<ReplicaReport> {
  if (!child.connected)
    throw new Error(`a replica ended before its time: ${child.exitCode ?? child.signalCode}`)
  tell(child, { end: how })
  for (;;) {
    const [message] = (await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code]) => Promise.reject(new Error(`a replica ended with ${code}`))),
    ])) as [{ readonly report?: ReplicaReport }]
    if (message.report !== undefined) {
      if (child.exitCode === null) await once(child, 'exit')
      return message.report
    }
  }
}

async function compareLedgers(
  port: number,
  journals: readonly (readonly Line[])[],
  era: number,
): Promise<{ readonly tooMuch: number; readonly tooLittle: number; readonly ledgers: number }> {
  await using store = await openRedisStore({
    url: `redis://127.0.0.1:${port}`,
    keyPrefix: 'chaos',
    timeoutMs: 5000,
  })
  const expected = ledgersOf(journals).filter(({ ledger }) => ledger.includes(`-era${era}-`))
  let [tooMuch, tooLittle] = [0, 0]
  for (const { ledger, units } of expected) {
    const charge = ledgerCharge({ name: '', rule: ledgerRule(0), cost: 0, isLeased: false })
    const states = await store.peek([{ ...charge, key: { ...charge.key, id: ledger } }])
    if (typeof states === 'string') throw new Error(`the store is ${states}`)
    const used = ledgerLimit - (states[0]?.remaining ?? Number.NaN)
    tooMuch += Math.max(0, used - units)
    tooLittle += Math.max(0, units - used)
  }
  return { tooMuch, tooLittle, ledgers: expected.length }
}
