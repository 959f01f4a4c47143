import { setTimeout as sleep } from 'node:timers/promises'
import type { Random } from '../../test/harness/random.ts'
import type { TcpProxy } from '../../test/harness/tcp-proxy.ts'
import { slotLifeMs } from './limits.ts'

/** What faults are done to. */
export interface Victims {
  /** One for each replica: its way to the store. */
  readonly proxies: readonly TcpProxy[]
  signalReplica(index: number, signal: NodeJS.Signals): void
  /** Ends one at once, and starts it anew with its memory on disk. */
  killReplica(index: number): Promise<void>
  signalStore(signal: NodeJS.Signals): void
  command(...words: readonly string[]): Promise<void>
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

/** One of them after the other. */
export const faults: Readonly<Record<string, Fault>> = {
  async 'kill -9 of a replica'(victims, random) {
    await victims.killReplica(random.below(victims.proxies.length))
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
]
