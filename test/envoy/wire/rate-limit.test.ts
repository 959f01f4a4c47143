import { isDeepStrictEqual } from 'node:util'
import { fromBinary } from '@bufbuild/protobuf'
import t from 'tap'
import type { JsonObject } from '#base/json.ts'
import { decodeRateLimit, encodeRateLimit } from '#envoy/wire/rate-limit.ts'
import { RateLimitRequestSchema, RateLimitResponseSchema } from '#gen/envoy/service/ratelimit/v3/rls_pb.js'
import type { Unit } from '#limits/rls/rls.ts'
import fc from '../../fast-check.ts'
import { boundaries, isAmbiguous, messageBytes, strictness } from './message-bytes.ts'

const units = ['', 'second', 'minute', 'hour', 'day', 'month', 'year', 'week'] as const

/** The same request by way of protobuf-es. */
function oracle(bytes: Uint8Array): unknown {
  const { domain, descriptors, hitsAddend } = fromBinary(RateLimitRequestSchema, bytes)
  return {
    domain,
    hitsAddend,
    descriptors: descriptors.map(({ entries, limit, hitsAddend: own, isNegativeHits }) => ({
      entries: entries.map(({ key, value }) => ({ key, value })),
      limit: limit && {
        requestsPerUnit: limit.requestsPerUnit,
        unit: units[limit.unit],
        multiplier: limit.unitMultiplier === undefined ? 1 : limit.unitMultiplier || 1,
      },
      hitsAddend: own === undefined ? undefined : Number(own),
      isNegativeHits,
    })),
  }
}

function outcome(read: () => unknown): { readonly text?: string; readonly why?: string } {
  try {
    return { text: JSON.stringify(sorted(read())) }
  } catch (thrown) {
    return { why: (thrown as Error).name === 'WireFault' ? (thrown as Error).message : 'a bug' }
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, each]) => [key, sorted(each)])
}

/** A limit of a unit that nobody knows cannot be counted: refused, where protobuf passes any number. */
const own = [...strictness, 'a limit of the unknown unit']

function agree(bytes: Uint8Array, differences: readonly string[]): boolean {
  const mine = outcome(() => decodeRateLimit(Buffer.from(bytes)))
  if (mine.why === 'a bug') return false
  if (differences.some((why) => mine.why?.startsWith(why))) return true
  return isAmbiguous(RateLimitRequestSchema, bytes) || mine.text === outcome(() => oracle(bytes)).text
}

const requests = messageBytes(RateLimitRequestSchema, 4)

t.test('of a million descriptors or entries no more are read than are refused', (t) => {
  const empty = (tag: number) => Buffer.alloc(2_000_000).fill(Buffer.from([tag, 0]))
  t.equal(decodeRateLimit(empty(0x12)).descriptors.length, 65)
  const entries = empty(0x0a)
  const length = Buffer.from([0x12, 0x80, 0x89, 0x7a])
  t.equal(decodeRateLimit(Buffer.concat([length, entries])).descriptors[0]?.entries.length, 33)
  t.end()
})

t.test('a request is what protobuf-es reads, whatever order, repetition and unknown fields', async () => {
  fc.assert(
    fc.property(requests, (bytes) => agree(bytes, own)),
    { numRuns: 2000 },
  )
})

t.test('bytes that were changed are read as protobuf-es reads them, or refused', async () => {
  const changed = fc
    .tuple(requests, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat())
    .map(([bytes, flips, cut]) => {
      const copy = Buffer.from(bytes)
      for (const [at, value] of flips) if (copy.length > 0) copy[at % copy.length] = value
      return cut % 3 === 0 ? copy.subarray(0, cut % (copy.length + 1)) : copy
    })
  fc.assert(
    fc.property(changed, (bytes) => agree(bytes, [...own, ...boundaries])),
    { numRuns: 2000 },
  )
})

t.test('an answer is what protobuf-es reads of it', async () => {
  const unit = fc.constantFrom<Unit>('second', 'minute', 'hour', 'day', 'month', 'year', 'week')
  const multiplier = fc.oneof(fc.constant(1), fc.integer({ min: 2, max: 0xffff_ffff }))
  const limit = fc.record({ requestsPerUnit: fc.nat(0xffff_ffff), unit, multiplier, name: fc.string() })
  const status = fc.record({
    isOverLimit: fc.boolean(),
    limit: fc.option(limit, { nil: undefined }),
    remaining: fc.nat(0xffff_ffff),
    resetSeconds: fc.option(fc.nat(40_000_000), { nil: undefined }),
  })
  const header = fc.tuple(fc.string(), fc.string())
  const metadata = fc.dictionary(fc.string(), fc.jsonValue()) as fc.Arbitrary<JsonObject>
  fc.assert(
    fc.property(
      fc.record({
        isOverLimit: fc.boolean(),
        statuses: fc.array(status, { maxLength: 5 }),
        headers: fc.option(fc.array(header, { maxLength: 3 }), { nil: undefined }),
        metadata: fc.option(metadata, { nil: undefined }),
      }),
      (answer) => {
        const read = fromBinary(RateLimitResponseSchema, encodeRateLimit(answer))
        return (
          read.overallCode === (answer.isOverLimit ? 2 : 1) &&
          read.statuses.length === answer.statuses.length &&
          isDeepStrictEqual(
            read.responseHeadersToAdd.map(({ key, value }) => [key, value]),
            (answer.headers ?? []).map((pair) => pair.map((text) => text.toWellFormed())),
          ) &&
          (read.dynamicMetadata === undefined) === (answer.metadata === undefined) &&
          read.statuses.every((each, index) => {
            const said = answer.statuses[index] as (typeof answer.statuses)[number]
            return (
              each.code === (said.isOverLimit ? 2 : 1) &&
              each.limitRemaining === said.remaining &&
              each.currentLimit?.requestsPerUnit === said.limit?.requestsPerUnit &&
              units[each.currentLimit?.unit ?? 0] === (said.limit?.unit ?? '') &&
              each.currentLimit?.name === said.limit?.name?.toWellFormed() &&
              (each.currentLimit?.unitMultiplier ?? 1) === (said.limit?.multiplier ?? 1) &&
              (each.durationUntilReset === undefined) ===
                (said.limit === undefined || said.resetSeconds === undefined) &&
              Number(each.durationUntilReset?.seconds ?? 0) ===
                ((said.limit && (said.resetSeconds ?? 0)) || 0)
            )
          })
        )
      },
    ),
  )
})
