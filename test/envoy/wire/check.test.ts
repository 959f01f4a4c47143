import t from 'tap'
import type { RequestFacts } from '#decision/exchange.ts'
import { decodeCheck } from '#envoy/decode-check.ts'
import { CheckRequestSchema } from '#gen/envoy/service/auth/v3/external_auth_pb.js'
import fc from '../../fast-check.ts'
import { boundaries, isAmbiguous, messageBytes, strictness } from './message-bytes.ts'
import { oracleCheck } from './oracle-check.ts'

/** Everything that the stages may see, as comparable text; or that it was refused, and by whom. */
function outcome(read: () => RequestFacts): {
  readonly facts?: string
  readonly refusedBy?: string
  readonly why?: string
} {
  try {
    const facts = read()
    return {
      facts: JSON.stringify([
        [facts.requestId, facts.method, facts.path, facts.authority, facts.scheme, facts.protocol],
        [...facts.headers.entries()].sort(([a], [b]) => (a < b ? -1 : 1)),
        [facts.client, facts.certificate?.pem, facts.sni, facts.sourceAddress],
        [facts.body && Buffer.from(facts.body).toString('hex'), facts.isBodyComplete],
        sorted(facts.contextExtensions),
        sorted(facts.attributes()),
      ]),
    }
  } catch (thrown) {
    const { name, message } = thrown as Error
    return { refusedBy: name, why: message }
  }
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, each]) => [key, sorted(each)])
}

const ours = (bytes: Uint8Array) => outcome(() => decodeCheck(Buffer.from(bytes), 5))
const theirs = (bytes: Uint8Array) => outcome(() => oracleCheck(bytes, 5))

/** Ours are the decoder's own refusals, or that of a certificate that is not URL-encoded; never a bug's. */
const own = new Set(['WireFault', 'URIError'])

function agree(bytes: Uint8Array, differences = strictness): boolean {
  const mine = ours(bytes)
  if (mine.refusedBy !== undefined && !own.has(mine.refusedBy)) return false
  if (differences.some((why) => mine.why?.startsWith(why))) return true
  return isAmbiguous(CheckRequestSchema, bytes) || mine.facts === theirs(bytes).facts
}

/** `attributes.request.http`, without which there is nothing to read. */
const http = Buffer.from([0x0a, 4, 0x22, 2, 0x12, 0])
const checkBytes = fc
  .tuple(fc.boolean(), messageBytes(CheckRequestSchema, 6))
  .map(([isFirst, bytes]) => Buffer.concat(isFirst ? [http, bytes] : [bytes, http]))

t.test('facts are those of protobuf-es, whatever order, repetition and unknown fields', async (t) => {
  let read = 0
  fc.assert(
    fc.property(checkBytes, (bytes) => {
      if (ours(bytes).facts !== undefined) read++
      return agree(bytes)
    }),
    { numRuns: 3000 },
  )
  t.ok(read > 300, `${read} were read`)
})

t.test('bytes that were changed are read as protobuf-es reads them, or refused by both', async (t) => {
  const changed = fc
    .tuple(checkBytes, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 }), fc.nat())
    .map(([bytes, flips, cut]) => {
      const copy = Buffer.from(bytes)
      for (const [at, value] of flips) if (copy.length > 0) copy[at % copy.length] = value
      return cut % 3 === 0 ? copy.subarray(0, cut % (copy.length + 1)) : copy
    })
  let compared = 0
  fc.assert(
    fc.property(changed, (bytes) => {
      if (!isAmbiguous(CheckRequestSchema, bytes)) compared++
      return agree(bytes, [...strictness, ...boundaries])
    }),
    { numRuns: 3000 },
  )
  t.ok(compared > 500, `${compared} were compared`)
})

t.test('rubbish is refused and nothing else', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const { refusedBy } = ours(bytes)
      return refusedBy === undefined || own.has(refusedBy)
    }),
    { numRuns: 3000 },
  )
})
