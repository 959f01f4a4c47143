import { type RateLimitRequest, type RateLimitResponse, requestBounds, type Unit } from '#limits/rls/rls.ts'
import { Reader, WireFault } from './reader.ts'
import { Writer } from './writer.ts'

/** envoy.type.v3.RateLimitUnit, which has the numbers of RateLimitResponse.RateLimit.Unit. */
const unitNumbers: Readonly<Record<Unit, number>> = {
  second: 1,
  minute: 2,
  hour: 3,
  day: 4,
  month: 5,
  year: 6,
  week: 7,
}
const unitNames = new Map(Object.entries(unitNumbers).map(([name, number]) => [number, name as Unit]))
const code = { ok: 1, overLimit: 2 } as const

type Descriptor = RateLimitRequest['descriptors'][number]
type Override = NonNullable<Descriptor['limit']>

/**
 * Reads a RateLimitRequest, in one walk over its bytes. Of more descriptors or entries than a request may have it reads one
 * more, so that they are refused, and steps over the rest: there is room for a million in one message.
 *
 * @throws WireFault when the bytes are no such message, or a limit comes with a unit that is not known.
 * @see envoy/service/ratelimit/v3/rls.proto, envoy/extensions/common/ratelimit/v3/ratelimit.proto
 */
export function decodeRateLimit(bytes: Buffer): RateLimitRequest {
  const reader = new Reader(bytes)
  const descriptors: Descriptor[] = []
  let domain = ''
  let hitsAddend = 0
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) domain = reader.string()
    else if (tag === 0x12 && descriptors.length <= requestBounds.descriptors)
      descriptors.push(readDescriptor(reader))
    else if (tag === 0x18) hitsAddend = reader.uint32()
    else reader.skip(tag)
  }
  return { domain, descriptors, hitsAddend }
}

function readDescriptor(reader: Reader): Descriptor {
  const entries: { key: string; value: string }[] = []
  let limit: RawOverride | undefined
  let hitsAddend: number | undefined
  let isNegativeHits = false
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    switch (tag) {
      case 0x0a:
        if (entries.length <= requestBounds.entries) entries.push(readEntry(reader))
        else reader.skip(tag)
        break
      case 0x12:
        limit = readOverride(reader, limit ?? { requestsPerUnit: 0, unit: 0, multiplier: undefined })
        break
      case 0x1a:
        hitsAddend = readWrapped(reader, 64, hitsAddend ?? 0)
        break
      case 0x20:
        isNegativeHits = reader.bool()
        break
      default:
        reader.skip(tag)
    }
  }
  reader.leave(outer)
  return { entries, limit: limit && overrideOf(limit, reader.at), hitsAddend, isNegativeHits }
}

function readEntry(reader: Reader): { key: string; value: string } {
  const entry = { key: '', value: '' }
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) entry.key = reader.string()
    else if (tag === 0x12) entry.value = reader.string()
    else reader.skip(tag)
  }
  reader.leave(outer)
  return entry
}

interface RawOverride {
  requestsPerUnit: number
  unit: number
  multiplier: number | undefined
}

function readOverride(reader: Reader, override: RawOverride): RawOverride {
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x08) override.requestsPerUnit = reader.uint32()
    else if (tag === 0x10) override.unit = reader.int32()
    else if (tag === 0x1a) override.multiplier = readWrapped(reader, 32, override.multiplier ?? 0)
    else reader.skip(tag)
  }
  reader.leave(outer)
  return override
}

function overrideOf({ requestsPerUnit, unit, multiplier }: RawOverride, at: number): Override {
  const name = unitNames.get(unit)
  if (name === undefined) throw new WireFault(`a limit of the unknown unit ${unit}`, at)
  return {
    requestsPerUnit,
    unit: name,
    multiplier: multiplier === undefined || multiplier === 0 ? 1 : multiplier,
  }
}

/** google.protobuf.UInt32Value and UInt64Value. */
function readWrapped(reader: Reader, bits: 32 | 64, before: number): number {
  let value = before
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x08) value = bits === 32 ? reader.uint32() : reader.uint64()
    else reader.skip(tag)
  }
  reader.leave(outer)
  return value
}

const writer = new Writer()

/** @see envoy/service/ratelimit/v3/rls.proto */
export function encodeRateLimit({ isOverLimit, statuses, headers, metadata }: RateLimitResponse): Uint8Array {
  writer.begin()
  if (metadata !== undefined) writer.struct(0x32, metadata)
  if (headers !== undefined) {
    for (let i = headers.length - 1; i >= 0; i--) {
      const [name, value] = headers[i] as readonly [string, string]
      const header = writer.length
      writer.string(0x12, value)
      writer.string(0x0a, name)
      writer.message(0x1a, header)
    }
  }
  for (let i = statuses.length - 1; i >= 0; i--) writeStatus(statuses[i] as Status)
  writer.varint(0x08, isOverLimit ? code.overLimit : code.ok)
  return writer.finish()
}

type Status = RateLimitResponse['statuses'][number]

function writeStatus({ limit, remaining, resetSeconds, isOverLimit }: Status): void {
  const status = writer.length
  if (limit !== undefined && resetSeconds !== undefined) {
    const duration = writer.length
    writer.varint(0x08, resetSeconds)
    writer.message(0x22, duration)
  }
  // As much as the field holds.
  if (remaining > 0) writer.varint(0x18, Math.min(remaining, 0xffff_ffff))
  if (limit !== undefined) {
    const current = writer.length
    if (limit.multiplier !== 1) {
      const multiplier = writer.length
      writer.varint(0x08, limit.multiplier)
      writer.message(0x22, multiplier)
    }
    if (limit.name !== '') writer.string(0x1a, limit.name)
    writer.varint(0x10, unitNumbers[limit.unit])
    writer.varint(0x08, limit.requestsPerUnit)
    writer.message(0x12, current)
  }
  writer.varint(0x08, isOverLimit ? code.overLimit : code.ok)
  writer.message(0x12, status)
}
