import type { CounterState } from '../store/store.ts'
import { RedisFault } from './fault.ts'

/** What every script says first. */
export interface ScriptAnswer {
  /** G granted, R refused, P looked at, S settled, A already, U unknown, H heard, T other spans wanted, L lost. */
  readonly kind: string
  readonly nowMs: number
  readonly epoch: string
  /** Writes of this replica that the server remembers. */
  readonly writes: number
  /** When its memory was last found lost, 0 where it never was. */
  readonly lostMs: number
  readonly rest: readonly number[]
}

/** @throws RedisFault where it is anything else than a script of ours would say */
export function parseAnswer(value: unknown): ScriptAnswer {
  if (typeof value !== 'string') throw wrong(typeof value)
  const parts = value.split(' ')
  const [kind, nowUs, epoch, writes, lostMs] = parts
  if (kind === undefined || !/^[GRPSAUHTL]$/.test(kind)) throw wrong(value)
  if (epoch === undefined || !/^[0-9a-f]{1,64}$/.test(epoch)) throw wrong(value)
  const rest: number[] = []
  for (let place = 5; place < parts.length; place++) rest.push(wholeNumber(parts[place], value))
  return {
    kind,
    epoch,
    nowMs: Math.floor(wholeNumber(nowUs, value) / 1000),
    writes: wholeNumber(writes, value),
    lostMs: wholeNumber(lostMs, value),
    rest,
  }
}

/** @throws RedisFault where there are not as many states as charges */
export function statesOf({ rest }: ScriptAnswer, count: number): readonly CounterState[] {
  if (rest.length !== 3 * count) throw wrong(`${rest.length} numbers for ${count} charges`)
  const states: CounterState[] = []
  for (let place = 0; place < rest.length; place += 3) {
    const wait = rest[place + 1] as number
    states.push({
      isOver: wait !== 0,
      remaining: rest[place] as number,
      retryUs: wait === forever ? Number.POSITIVE_INFINITY : wait,
      resetUs: rest[place + 2] as number,
    })
  }
  return states
}

const forever = -1

function wholeNumber(text: string | undefined, all: string): number {
  const value = text === undefined || text === '' ? Number.NaN : Number(text)
  if (!Number.isInteger(value) || value < forever) throw wrong(all)
  return value
}

export function wrong(found: string): RedisFault {
  return new RedisFault('reply', `the answer to a script is of the wrong form: ${found.slice(0, 100)}`)
}
