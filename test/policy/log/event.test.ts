import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { JsonObject, JsonValue } from '#base/json.ts'
import { readBundle } from '#policy/bundle/bundle.ts'
import { decideRequest } from '#policy/decide.ts'
import type { Decided } from '#policy/decided.ts'
import { createEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { eventOf, eventText, goTime } from '#policy/log/event.ts'
import { decisionConsoleLine } from '#policy/log/printed.ts'
import { redact } from '#policy/log/redact.ts'
import fc from '../../fast-check.ts'
import { buildBundle } from '../../harness/opa.ts'
import { validDeciding, validExchange } from '../exchange.ts'
import { validDecided } from './decisions.ts'
import { authz, type Event, entrypoints, mask, requests, steady } from './golden/plugin-events.ts'

const golden = (name: string): Record<string, Event> =>
  JSON.parse(readFileSync(join(import.meta.dirname, 'golden', `${name}.json`), 'utf8'))
const decision = 'envoy/authz/allow'
const asked = { mask: 'system/log/mask', drop: 'system/log/drop' }
const labels = { zone: 'AE', id: 'i', version: '0.1.0' }

/** What differs on purpose: our input has one key more, and the plugin's own `version` is written in its internal form. */
function compared(event: Event): Event {
  const shown = steady(event)
  const { serving: _serving, version: _version, ...input } = (shown['input'] ?? {}) as Event
  // The plugin times more, and says of an error where in the source it is and what kind it is.
  const { metrics: _metrics, error, trace_id: _trace, span_id: _span, ...rest } = shown
  return { ...rest, input, ...(error !== undefined && { hasError: true }) }
}

t.test('an event has the fields and values that the real OPA Envoy plugin gives it', async (t) => {
  const bundle = await buildBundle({
    files: { 'authz.rego': authz, 'log.rego': mask },
    moreEntrypoints: entrypoints,
    revision: 'r1',
  })
  const engine = createEngine({ ...readBundle(bundle, 'p', decision), place: 'p' })
  const active = { engine, revisions: { authz: 'r1' }, revision: 'r1', activatedAtMs: 0 }
  const clock = { nowMs: () => 1_790_000_000_000, monotonicUs: () => 0 }
  const [server, console] = [golden('server'), golden('console')]
  for (const [name, request] of Object.entries(requests)) {
    const http = request.attributes?.request?.http as { readonly path: string; readonly headers: JsonObject }
    const attributes = { request: { http: { ...http } } } as Record<
      string,
      Record<string, Record<string, JsonValue>>
    >
    if (Object.keys(http.headers).length === 0) delete attributes['request']?.['http']?.['headers']
    const told: Decided[] = []
    const headers = Object.entries(http.headers) as [string, string][]
    const x = validExchange({ path: http.path, headers, attributes: attributes as JsonObject })
    decideRequest(active, x, validDeciding({ decision, clock, sink: (decided) => void told.push(decided) }))
    const [decided] = told
    if (decided === undefined) return t.fail('the sink was told nothing')
    const event = eventOf(decided, { labels, isNdBuiltinCacheWanted: true, requestHeaders: [] })
    const redacted = await redact(decided, event, asked)
    if (redacted.kind !== 'kept') return t.fail(`${name}: ${JSON.stringify(redacted)}`)
    const ours: Event = JSON.parse(redacted.text.bytes.toString())
    t.same(compared(ours), compared(server[name] as Event), name)
    const line: Event = JSON.parse(decisionConsoleLine(redacted.event, redacted.text, 0))
    t.same(compared(line), compared(console[name] as Event), `${name} on the console`)
    t.same(Object.keys(ours['metrics'] as Event), ['timer_rego_query_eval_ns'])
    if (name === 'undefined') t.same(ours['error'], server[name]?.['error'])
    if ('error' in ours) t.type((line as { error?: unknown }).error, 'string')
  }
})

t.test('a trace is known by its parent, and only by a good one', async (t) => {
  const options = { labels, isNdBuiltinCacheWanted: false, requestHeaders: [] }
  const of = (traceparent: string) => {
    const { trace_id, span_id } = eventOf(validDecided({ traceparent }), options)
    return [trace_id, span_id]
  }
  const [trace, span] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331']
  t.same(of(`00-${trace}-${span}-01`), [trace, span])
  t.same(of(`01-${trace}-${span}-01-more`), [trace, span], 'a later version may have more')
  for (const bad of [
    '',
    `ff-${trace}-${span}-01`,
    `00-${'0'.repeat(32)}-${span}-01`,
    `00-${trace}-${'0'.repeat(16)}-01`,
    `00-${trace.toUpperCase()}-${span}-01`,
    `00-${trace}-${span}-01x`,
  ])
    t.same(of(bad), [undefined, undefined], bad)
})

t.test('headers of the request are logged beside the input where they are asked for', async (t) => {
  const document = { attributes: { request: { http: { headers: { 'x-team': 'blue', 'x-other': '1' } } } } }
  const options = { labels, isNdBuiltinCacheWanted: false, requestHeaders: ['X-Team', 'x-none'] }
  t.same(eventOf(validDecided({ document }), options).request_context, {
    http: { headers: { 'X-Team': ['blue'] } },
  })
  t.notOk('request_context' in eventOf(validDecided({ document: 'text' }), options))
})

t.test('a time stands as Go writes it', async (t) => {
  const rows: [number, string][] = [
    [0, '1970-01-01T00:00:00Z'],
    [10, '1970-01-01T00:00:00.01Z'],
    [1_790_000_000_120, '2026-09-21T14:13:20.12Z'],
    [1_790_000_000_123, '2026-09-21T14:13:20.123Z'],
  ]
  for (const [ms, text] of rows) t.equal(goTime(ms), text)
})

t.test('the text of an event is its JSON, whatever is in it, and its cut is the cache alone', async (t) => {
  const value = fc.jsonValue({ stringUnit: 'binary', maxDepth: 3 }) as fc.Arbitrary<JsonValue>
  fc.assert(
    fc.property(value, value, fc.boolean(), (input, cache, isKnown) => {
      const document = new InputDocument(input)
      const event = {
        ...eventOf(validDecided({ input: document }), {
          labels,
          isNdBuiltinCacheWanted: false,
          requestHeaders: [],
        }),
        nd_builtin_cache: cache,
        error: { message: 'm' },
      }
      const { bytes, cut } = eventText(event, isKnown ? document.text : undefined)
      const text = bytes.toString()
      const plain = (all: object) => JSON.parse(JSON.stringify(all), (_, each) => wellFormed(each))
      t.same(JSON.parse(text), plain(event))
      const { nd_builtin_cache: _, ...rest } = event
      const smaller = Buffer.concat([bytes.subarray(0, cut?.from), bytes.subarray(cut?.to ?? 0)])
      if (cut !== undefined) t.same(JSON.parse(smaller.toString()), plain(rest))
      else t.ok(JSON.stringify(cache).length < 64)
    }),
    { numRuns: 300 },
  )
})

function wellFormed(value: unknown): unknown {
  if (typeof value === 'string') return value.toWellFormed()
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key.toWellFormed(), item]))
}
