import { LRUCache } from 'lru-cache'
import { OperandError } from './operands.ts'
import { zoneNames } from './zone-names.ts'

/** A place's rules of local time. */
export interface Zone {
  readonly name: string
  /** Seconds east of UTC at a moment. */
  offsetAt(epochSeconds: number): number
  /** What people call it at that moment: `CET`, or `+04` where nobody does. */
  abbreviationAt(epochSeconds: number): string
}

export const utc: Zone = { name: 'UTC', offsetAt: () => 0, abbreviationAt: () => 'UTC' }

/** By zone, by minutes east of UTC. */
const names: ReadonlyMap<string, ReadonlyMap<number, string>> = new Map(
  zoneNames.flatMap(([written, zones]) => {
    const byOffset = new Map(
      [...written.matchAll(/([A-Za-z]+)([+-]\d+)/g)].map(
        ([, short = '', offset]) => [Number(offset), short] as const,
      ),
    )
    return zones.split(' ').map((zone) => [zone, byOffset] as const)
  }),
)

const known = new LRUCache<string, Zone>({ max: 64 })

/** By its IANA name. @throws OperandError where there is none. */
export function zoneNamed(name: string): Zone {
  if (name === '' || name === 'UTC') return utc
  if (name === 'Local') return zoneNamed(new Intl.DateTimeFormat().resolvedOptions().timeZone)
  let zone = known.get(name)
  if (zone === undefined) {
    zone = ianaZone(name)
    known.set(name, zone)
  }
  return zone
}

function ianaZone(name: string): Zone {
  const options = { year: 'numeric', month: 'numeric', day: 'numeric', hour: 'numeric' } as const
  const rest = { minute: 'numeric', second: 'numeric', hourCycle: 'h23', era: 'short' } as const
  let format: Intl.DateTimeFormat
  try {
    // Offsets such as `+04:00` are names to JavaScript and none to the IANA database.
    if (/^[+-]/.test(name)) throw new RangeError(name)
    format = new Intl.DateTimeFormat('en-US', { timeZone: name, ...options, ...rest })
  } catch {
    throw new OperandError(`no zone ${name}`)
  }
  const offsetAt = (epochSeconds: number) => {
    const parts: Record<string, string> = {}
    for (const { type, value } of format.formatToParts(epochSeconds * 1000)) parts[type] = value
    const year = parts['era'] === 'BC' ? 1 - Number(parts['year']) : Number(parts['year'])
    const local = new Date(0)
    local.setUTCFullYear(year, Number(parts['month']) - 1, Number(parts['day']))
    local.setUTCHours(Number(parts['hour']), Number(parts['minute']), Number(parts['second']))
    return local.getTime() / 1000 - epochSeconds
  }
  return {
    name,
    offsetAt,
    abbreviationAt: (epochSeconds) => {
      const offset = offsetAt(epochSeconds)
      const shown = names.get(name)?.get(offset / 60)
      if (shown !== undefined) return shown
      const minutes = Math.abs(Math.trunc(offset / 60))
      const hours = String(Math.trunc(minutes / 60)).padStart(2, '0')
      const odd = minutes % 60 === 0 ? '' : String(minutes % 60).padStart(2, '0')
      return `${offset < 0 ? '-' : '+'}${hours}${odd}`
    },
  }
}
