import { once } from 'node:events'

/** Resolves with the first of the signals that comes. */
export async function firstSignal(signals: readonly NodeJS.Signals[]): Promise<string> {
  const listening = new AbortController()
  const first = await Promise.race(
    signals.map((signal) => once(process, signal, { signal: listening.signal }).then(() => signal)),
  )
  listening.abort()
  return first
}
