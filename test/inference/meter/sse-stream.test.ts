import t from 'tap'
import fc from '../../fast-check.ts'
import { chatPath, measured, meterOf, sse } from '../a-call.ts'
import { chunk, request, usage, usageOnly, whole } from './a-stream.ts'

/** Streams as servers write them, and some that are odd. */
const text = fc.string({ unit: 'binary', maxLength: 12 })
const anEvent = fc.oneof(
  { weight: 5, arbitrary: text.map((content) => `data: ${chunk(content)}`) },
  { weight: 1, arbitrary: text.map((content) => `data: ${chunk(content, { usage: null })}`) },
  { weight: 1, arbitrary: fc.constant(`data: ${chunk('x', { usage })}`) },
  {
    weight: 1,
    arbitrary: fc.constant(`data: ${JSON.stringify({ choices: [], prompt_filter_results: [] })}`),
  },
  { weight: 1, arbitrary: fc.constant('data: {"choices":[ ],"usage":null}') },
  {
    weight: 1,
    arbitrary: fc.constantFrom(': ping', 'event: x', 'data', 'data:', 'id: 1\nretry: 5', '', 'data: [DONE]'),
  },
  { weight: 1, arbitrary: fc.constant(`event: y\ndata: {"choices":\ndata: [{"delta":{"content":"a"}}]}`) },
)
const lineEnds = fc.constantFrom('\n', '\r\n', '\r')
const aStream = fc
  .record({
    mark: fc.constantFrom('', '\ufeff'),
    events: fc.array(anEvent, { maxLength: 8 }),
    lineEnd: lineEnds,
    tail: fc.constantFrom('', 'data: [DONE]', 'data: {"choices":[{"delta":{"content":"x'),
  })
  .map(({ mark, events, lineEnd, tail }) => ({
    mark,
    tail,
    blocks: events.map((event) => `${event}\n\n`.replaceAll('\n', lineEnd)),
    report: `data: ${usageOnly}\n\n`.replaceAll('\n', lineEnd),
  }))
const someCuts = fc.array(fc.nat({ max: 1500 }), { maxLength: 12 })

t.test('however a stream is cut, its bytes and its usage are the same', async () => {
  fc.assert(
    fc.property(aStream, someCuts, fc.boolean(), ({ mark, blocks, report, tail }, cuts, isOurs) => {
      const bytes = Buffer.from([mark, ...blocks, report, tail].join(''))
      const run = (places: readonly number[]) => {
        const meter = meterOf(chatPath, request())
        if (isOurs) meter.requestReport()
        return measured(meter, bytes, sse, places)
      }
      const wanted = run([])
      for (const places of [cuts, bytes.map((_, at) => at)]) {
        const found = run([...places])
        if (!found.out.equals(wanted.out)) return false
        if (JSON.stringify(found.metered) !== JSON.stringify(wanted.metered)) return false
      }
      return isOurs || wanted.out.equals(bytes)
    }),
    { numRuns: 300 },
  )
})

t.test('a report that only we asked for is never seen by the client', async () => {
  fc.assert(
    fc.property(aStream, fc.nat(), someCuts, ({ mark, blocks, report, tail }, where, cuts) => {
      const at = where % (blocks.length + 1)
      const without = [mark, ...blocks, tail].join('')
      const withReport = [mark, ...blocks.slice(0, at), report, ...blocks.slice(at), tail].join('')
      const meter = meterOf(chatPath, request())
      if (meter.requestReport() === undefined) return false
      return measured(meter, withReport, sse, cuts).out.toString() === without
    }),
    { numRuns: 500 },
  )
})

t.test('who asked for the report is given it', async (t) => {
  for (const asked of [request({ stream_options: { include_usage: true } }), request({ stream: false })]) {
    const meter = meterOf(chatPath, asked)
    t.equal(meter.requestReport(), undefined)
    t.equal(measured(meter, whole, sse).out.toString(), whole)
  }
  t.equal(
    measured(meterOf(chatPath, request()), whole, sse).out.toString(),
    whole,
    'nobody changed the request',
  )
})

t.test('no octets that were changed on the way throw, or take less than what was seen', async () => {
  const change = fc.array(fc.record({ at: fc.nat(), octet: fc.integer({ min: 0, max: 255 }) }), {
    maxLength: 6,
  })
  const types = fc.constantFrom('text/event-stream', 'application/json')
  fc.assert(
    fc.property(aStream, change, types, someCuts, ({ mark, blocks, report }, changes, type, cuts) => {
      const bytes = Buffer.from([mark, ...blocks, report].join(''))
      for (const { at, octet } of changes) if (bytes.length > 0) bytes[at % bytes.length] = octet
      const meter = meterOf(chatPath, request())
      meter.begin({ httpStatus: 200, contentType: type, contentEncoding: '' })
      let before = 0
      const places = [...cuts, bytes.length].filter((cut) => cut <= bytes.length).sort((a, b) => a - b)
      let from = 0
      for (const end of places) {
        meter.feed(bytes.subarray(from, end), end === bytes.length)
        from = end
        const { usage, source } = meter.metered()
        if (!Object.values(usage).every((amount) => Number.isSafeInteger(amount) && amount >= 0)) return false
        if (usage.inputTokens === 0 || usage.responseBytes !== end) return false
        // Only a report takes an estimate back.
        if (source === 'estimated' && usage.outputTokens < before && !bytes.includes('usage')) return false
        before = usage.outputTokens
      }
      return true
    }),
    { numRuns: 500 },
  )
})
