import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../test/harness/random.ts'
import type { TcpProxy } from '../../test/harness/tcp-proxy.ts'
import { slotLifeMs } from './limits.ts'

/** What faults are done to. */
export interface Victims {
  /** One for each replica: its way to the store. */
  readonly proxies: readonly TcpProxy[]
  signalReplica(index: number, signal: NodeJS.Signals): void
  /** Ends some at once, and starts them anew with their memory on disk. */
  killReplicas(indexes: readonly number[], meanwhile?: () => Promise<void>): Promise<void>
  /** Asks one to end, and starts it anew. */
  endReplica(index: number): Promise<void>
  /** Sets the clock of one, so far ahead of the others'. */
  setClock(index: number, aheadMs: number): void
  signalStore(signal: NodeJS.Signals): void
  command(...words: readonly (string | number)[]): Promise<void>
  /** Ends the store and starts it with nothing. */
  restartStore(): Promise<void>
  /** Has another server take over, in good order. */
  failOver(): Promise<void>
  /** Has another server take over that has not got the last writes. */
  failOverLate(random: Random): Promise<void>
  /** Told before and after a replica gives no sign for longer than its slots live. */
  silent(index: number, isSilent: boolean): void
  /** Told after what the store knew is gone. */
  forgotten(): void
}

type Fault = (victims: Victims, random: Random) => Promise<void>

const whileMs = (random: Random, most: number) => sleep(40 + random.below(most))
const everybody = ({ proxies }: Victims) => proxies.map((_, index) => index)
const hourMs = 3_600_000

/** One of them after the other. */
export const faults: Readonly<Record<string, Fault>> = {
  async 'kill -9 of a replica'(victims, random) {
    await victims.killReplicas([random.below(victims.proxies.length)])
  },
  async 'kill -9 of all replicas'(victims) {
    await victims.killReplicas(everybody(victims))
  },
  async 'kill -9 of all replicas, and the store empty when they are back'(victims) {
    await victims.killReplicas(everybody(victims), () => victims.restartStore())
    victims.forgotten()
  },
  async 'SIGTERM of a replica'(victims, random) {
    await victims.endReplica(random.below(victims.proxies.length))
  },
  async 'SIGTERM of a replica parted from the store'(victims, random) {
    const index = random.below(victims.proxies.length)
    const proxy = victims.proxies[index] as TcpProxy
    proxy.isParted = true
    await whileMs(random, 300)
    const ended = victims.endReplica(index)
    await whileMs(random, 1200)
    proxy.isParted = false
    await ended
  },
  async 'the clock of a replica set'(victims, random) {
    const aheadMs = random.pick([-hourMs, -1700, -300, 0, 450, 2600, hourMs, 30 * 24 * hourMs])
    victims.setClock(random.below(victims.proxies.length), aheadMs)
  },
  async 'a replica stopped'(victims, random) {
    const index = random.below(victims.proxies.length)
    victims.signalReplica(index, 'SIGSTOP')
    await whileMs(random, 600)
    victims.signalReplica(index, 'SIGCONT')
  },
  async 'a replica stopped for longer than its slots live'(victims, random) {
    const index = random.below(victims.proxies.length)
    victims.silent(index, true)
    victims.signalReplica(index, 'SIGSTOP')
    await sleep(slotLifeMs + random.below(400))
    victims.signalReplica(index, 'SIGCONT')
    victims.silent(index, false)
  },
  async 'the store stopped'(victims, random) {
    victims.signalStore('SIGSTOP')
    await whileMs(random, 900)
    victims.signalStore('SIGCONT')
  },
  async 'the store paused'(victims, random) {
    await victims.command('CLIENT', 'PAUSE', 40 + random.below(600), random.pick(['ALL', 'WRITE']))
    await whileMs(random, 400)
    await victims.command('CLIENT', 'UNPAUSE')
  },
  async 'a store that is slow'(victims, random) {
    for (let left = 3 + random.below(8); left > 0; left--) {
      await victims.command('DEBUG', 'SLEEP', (10 + random.below(120)) / 1000)
      await sleep(random.below(30))
    }
  },
  async 'the memory of the store full'(victims, random) {
    await victims.command('CONFIG', 'SET', 'maxmemory', 1)
    await whileMs(random, 600)
    await victims.command('CONFIG', 'SET', 'maxmemory', 0)
  },
  async 'a store that only reads'(victims, random) {
    await victims.command('REPLICAOF', '127.0.0.1', 1)
    await whileMs(random, 600)
    await victims.command('REPLICAOF', 'NO', 'ONE')
  },
  async 'another password'(victims, random) {
    await victims.command('ACL', 'SETUSER', 'default', 'resetpass', '>another')
    await victims.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    await whileMs(random, 500)
    await victims.command('ACL', 'SETUSER', 'default', 'nopass')
  },
  async 'rights taken away'(victims, random) {
    await victims.command('ACL', 'SETUSER', 'default', '-evalsha')
    await whileMs(random, 500)
    await victims.command('ACL', 'SETUSER', 'default', '+evalsha')
  },
  async 'scripts forgotten'(victims) {
    await victims.command('SCRIPT', 'FLUSH')
  },
  async 'connections cut'(victims, random) {
    for (let left = 1 + random.below(3); left > 0; left--) {
      for (const proxy of victims.proxies) proxy.cut()
      await whileMs(random, 100)
    }
  },
  async 'a replica parted from the store'(victims, random) {
    const proxy = random.pick(victims.proxies)
    proxy.isParted = true
    await whileMs(random, 800)
    proxy.isParted = false
  },
  async 'answers lost'(victims, random) {
    const some = random.below(2) === 0 ? victims.proxies : [random.pick(victims.proxies)]
    for (const proxy of some) proxy.isMute = true
    await whileMs(random, 700)
    // What the store said meanwhile is lost with the connections; what it did is done.
    for (const proxy of some) proxy.cut()
    for (const proxy of some) proxy.isMute = false
  },
  async 'what was sent arrives after its sender gave up'(victims, random) {
    const some = random.below(2) === 0 ? victims.proxies : [random.pick(victims.proxies)]
    for (const proxy of some) proxy.isLate = true
    for (const proxy of some) proxy.isParted = true
    await whileMs(random, 700)
    for (const proxy of some) proxy.isParted = false
    await whileMs(random, 50)
    for (const proxy of some) proxy.isLate = false
  },
  async 'a slow network'(victims, random) {
    for (const proxy of victims.proxies) proxy.delayMs = 5 + random.below(60)
    await whileMs(random, 500)
    for (const proxy of victims.proxies) proxy.delayMs = 0
  },
  async 'all keys gone'(victims) {
    await victims.command('FLUSHALL')
    victims.forgotten()
  },
  async 'the store ended and empty'(victims) {
    await victims.restartStore()
    victims.forgotten()
  },
  async 'another server takes over'(victims) {
    await victims.failOver()
  },
  async 'another server takes over without the last writes'(victims, random) {
    await victims.failOverLate(random)
    victims.forgotten()
  },
}

/** Those that leave the store without what it knew. */
export const forgetful: readonly string[] = [
  'kill -9 of all replicas, and the store empty when they are back',
  'all keys gone',
  'the store ended and empty',
  'another server takes over without the last writes',
]

/** Those that may happen while another one does: they leave the store's server alone. */
export const gentle: readonly string[] = [
  'a replica stopped',
  'connections cut',
  'a replica parted from the store',
  'a slow network',
  'answers lost',
  'the clock of a replica set',
]
