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
  if (!Array.isArray(value)) throw wrong(String(value))
  const [kind, nowUs, epoch, writes, lostMs]: unknown[] = value
  if (typeof kind !== 'string' || !/^[GRPSAUHTL]$/.test(kind)) throw wrong(String(value))
  if (typeof epoch !== 'string' || !/^[0-9a-f]{1,64}$/.test(epoch)) throw wrong(String(value))
  if (!isWhole(nowUs) || !isWhole(writes) || !isWhole(lostMs)) throw wrong(String(value))
  const rest: unknown[] = value.slice(headLength)
  if (!rest.every(isWhole)) throw wrong(String(value))
  return { kind, epoch, nowMs: Math.floor(nowUs / 1000), writes, lostMs, rest }
}

/** Of what was granted, refused or looked at: three numbers a charge. */
export function statesOf({ rest }: ScriptAnswer): readonly CounterState[] {
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
const headLength = 5

function isWhole(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= forever
}

export function wrong(found: string): RedisFault {
  return new RedisFault('reply', `the answer to a script is of the wrong form: ${found.slice(0, 100)}`)
}
