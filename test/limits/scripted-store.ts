import type {
  Charge,
  CounterState,
  QuotaStore,
  ReserveAnswer,
  SettleAnswer,
  StoreFault,
} from '../../agent/limits/store/store.ts'
import { settled } from './virtual-time.ts'

/** How a store that is asked over a network behaves. */
export type Weather =
  | 'well'
  /** Nothing arrives. */
  | 'away'
  /** What is asked is done, but the answer is lost. */
  | 'mute'
  /** It is not asked: too many wait already. */
  | 'busy'
  | 'lost'

export interface ScriptedStore extends QuotaStore {
  weather: Weather
  /** Of the processes that share it. */
  replicaCount: number
  /** What was asked, in order. */
  readonly asked: string[]
  /** Which charges are lost in that weather; all of them otherwise. */
  isLost: (charge: Charge) => boolean
}

/** A store of which the test says how it is reached; it answers a turn of the event loop later. */
export function scriptedStore(inner: QuotaStore): ScriptedStore {
  const asked: string[] = []
  const counts = { ...inner.health.counts }
  const over = async <T>(what: string, work: () => T | Promise<T>): Promise<T | undefined> => {
    asked.push(what)
    counts.calls++
    const { weather } = store
    if (weather === 'away' || weather === 'busy') {
      await settled()
      return undefined
    }
    const answer = await work()
    await settled()
    return weather === 'mute' ? undefined : answer
  }
  const unanswered = (): ReserveAnswer => {
    return { kind: 'failed', fault: store.weather === 'busy' ? 'busy' : 'unavailable', index: 0 }
  }
  const lostOf = (charges: readonly Charge[]): ReserveAnswer | undefined => {
    const index = charges.findIndex(
      (charge) => charge.isEnforced && charge.onStoreFailure !== 'allow' && store.isLost(charge),
    )
    return store.weather === 'lost' && index >= 0 ? { kind: 'failed', fault: 'lost', index } : undefined
  }
  const store: ScriptedStore = {
    weather: 'well',
    replicaCount: 2,
    asked,
    isLost: () => true,
    reserve: async (id, charges, ttlMs) =>
      (await over(`reserve ${id} ${charges.map(({ cost }) => cost)}`, () => {
        return lostOf(charges) ?? inner.reserve(id, charges, ttlMs)
      })) ?? unanswered(),
    topUp: async (id, step, charges, ttlMs) =>
      (await over(`topUp ${id} ${step} ${charges.map(({ cost }) => cost)}`, () => {
        return lostOf(charges) ?? inner.topUp(id, step, charges, ttlMs)
      })) ?? unanswered(),
    settle: async (id, actuals): Promise<SettleAnswer> =>
      (await over(`settle ${id} ${actuals}`, () => inner.settle(id, actuals))) ?? 'queued',
    peek: async (charges): Promise<readonly CounterState[] | StoreFault> =>
      (await over('peek', () => inner.peek(charges))) ?? 'unavailable',
    adjust: async (id, charge, change): Promise<CounterState | StoreFault> =>
      (await over(`adjust ${id}`, () => inner.adjust(id, charge, change))) ?? 'unavailable',
    health: {
      kind: 'redis',
      problem: () => undefined,
      lostAtMs: () => undefined,
      replicas: () => store.replicaCount,
      counts,
    },
    [Symbol.asyncDispose]: async () => {},
  }
  return store
}
