import { openRedisStore, type RedisStoreSettings } from '../../../agent/limits/redis/store.ts'
import type { Charge, CounterState, QuotaStore } from '../../../agent/limits/store/store.ts'
import type { Valkey } from '../../harness/valkey.ts'
import { evenSpans, gcraRule } from '../store/sequences.ts'
import { chargeOn } from '../store/trial.ts'

/** Long enough for a busy machine; what must fail does so by a closed connection or a stopped server. */
export const timeoutMs = 5000
export const ttlMs = 60_000

/** Far more than a test takes passes until any of it comes back. */
export const slowGcra = (burst: number) => gcraRule(1, 86_400_000, burst)
export const hourSliding = (limit: number) => ({
  kind: 'sliding' as const,
  limit,
  sliceUs: 60_000_000,
  sliceCount: 60,
})
/** One span that began long ago, and whose end nobody here sees. */
export const longCalendar = (limit: number) => ({
  kind: 'calendar' as const,
  limit,
  calendar: evenSpans(400 * 365 * 86_400_000),
})
export const concurrency = (limit: number) => ({ kind: 'concurrency' as const, limit })

/** A store at a server of this machine, as the tests want it. */
export function openAt(port: number, more: Partial<RedisStoreSettings> = {}): Promise<QuotaStore> {
  return openRedisStore({ url: `redis://127.0.0.1:${port}`, timeoutMs, ...more })
}

/** One charge that takes one, of a calendar limit of 10 unless told otherwise. */
export function charge(name: string, more: Partial<Charge> = {}): Charge {
  return chargeOn(name, longCalendar(10), 1, more)
}

/** @throws Error where the store cannot say */
export async function remainingOf(store: QuotaStore, charge: Charge): Promise<number> {
  const states = await store.peek([charge])
  if (typeof states === 'string') throw new Error(states)
  return (states[0] as CounterState).remaining
}

/** How many libraries of ours a server has. */
export async function librariesOf({ client }: Valkey): Promise<number> {
  const libraries = (await client.call('FUNCTION', 'LIST', 'LIBRARYNAME', 'sluice_*')) as unknown[]
  return libraries.length
}
