import t from 'tap'
import fc from '../../fast-check.ts'
import { chatPath, meterOf } from '../a-call.ts'

const members = '"model":"m","messages":[]'
const edited = (body: string | Uint8Array, path = chatPath) => {
  const found = meterOf(path, body).requestReport()
  return found && Buffer.from(found).toString()
}

t.test('a request is changed in one place, or not at all', async (t) => {
  const rows: [body: string, edited: string | undefined][] = [
    [`{${members},"stream":true}`, `{"stream_options":{"include_usage":true},${members},"stream":true}`],
    [
      ` {\n ${members} , "stream" : true } `,
      ` {\n "stream_options":{"include_usage":true},${members} , "stream" : true } `,
    ],
    [
      `{${members},"stream":true,"stream_options":null}`,
      `{${members},"stream":true,"stream_options":{"include_usage":true}}`,
    ],
    [
      `{"stream_options": {} ,${members},"stream":true}`,
      `{"stream_options": {"include_usage":true} ,${members},"stream":true}`,
    ],
    [
      `{"stream_options":{ "a" : [1,{"}":"]"}] },${members},"stream":true}`,
      `{"stream_options":{ "include_usage":true,"a" : [1,{"}":"]"}] },${members},"stream":true}`,
    ],
    [
      `{"stream_options":{"a":1,"include_usage": false},${members},"stream":true}`,
      `{"stream_options":{"a":1,"include_usage": true},${members},"stream":true}`,
    ],
    [
      `{"stream_options":{"include_usage":null},${members},"stream":true}`,
      `{"stream_options":{"include_usage":true},${members},"stream":true}`,
    ],
    [
      `{"stream_\\u006fptions":{"include_\\u0075sage":false},${members},"stream":true}`,
      `{"stream_\\u006fptions":{"include_\\u0075sage":true},${members},"stream":true}`,
    ],
    [
      `{"a":{"stream_options":{"include_usage":true}},${members},"stream":true}`,
      `{"stream_options":{"include_usage":true},"a":{"stream_options":{"include_usage":true}},${members},"stream":true}`,
    ],
    [
      `{"a":"\\"stream_options\\":{",${members},"stream":true}`,
      `{"stream_options":{"include_usage":true},"a":"\\"stream_options\\":{",${members},"stream":true}`,
    ],
    // What asks already, and what is no stream.
    [`{"stream_options":{"include_usage":true},${members},"stream":true}`, undefined],
    [`{${members}}`, undefined],
    [`{${members},"stream":false}`, undefined],
  ]
  for (const [body, wanted] of rows) t.equal(edited(body), wanted, body)
  const streamed = `{${members},"stream":true}`
  t.ok(edited(streamed, '/v1/completions'))
  for (const path of ['/v1/responses', '/v1/messages', '/v1/embeddings', '/v2/models/m/generate_stream'])
    t.equal(edited(streamed, path), undefined, path)
  const encoded = meterOf(chatPath, streamed, { headers: [['content-encoding', 'gzip']] })
  t.equal(encoded.requestReport(), undefined)
  t.equal(meterOf(chatPath, streamed, { isBodyComplete: false }).requestReport(), undefined)
})

t.test('octets that are no UTF-8 go on as they came', async (t) => {
  const body = Buffer.concat([
    Buffer.from(`{${members},"stream":true,"user":"`),
    Buffer.from([0xc3, 0x28, 0xff]),
    Buffer.from('é😀"}'),
  ])
  const found = meterOf(chatPath, body).requestReport()
  const put = Buffer.from('"stream_options":{"include_usage":true},')
  t.same(found && Buffer.from(found), Buffer.concat([Buffer.from('{'), put, body.subarray(1)]))
})

t.test(
  'what is changed is JSON that says the same and asks for the report, with no member twice',
  async () => {
    const options = fc.oneof(
      fc.constant(undefined),
      fc.constant(null),
      fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 2 })),
      fc.record(
        { include_usage: fc.constantFrom(false, null, true), a: fc.jsonValue({ maxDepth: 2 }) },
        { requiredKeys: [] },
      ),
    )
    fc.assert(
      fc.property(
        fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue({ maxDepth: 3 })),
        options,
        fc.constantFrom(undefined, 1, '\t'),
        (more, stream_options, indent) => {
          const names = Object.keys(more).map((name) => name.toLowerCase())
          fc.pre(new Set(names).size === names.length)
          fc.pre(!names.some((name) => ['model', 'stream', 'stream_options', '__proto__'].includes(name)))
          const asked = {
            ...more,
            model: 'm',
            stream: true,
            ...(stream_options !== undefined && { stream_options }),
          }
          const found = edited(JSON.stringify(asked, undefined, indent))
          const own = (stream_options ?? {}) as { readonly include_usage?: unknown }
          if (found === undefined)
            return (
              own.include_usage !== undefined ||
              Object.keys(own).some((name) => /^include_usage$/i.test(name))
            )
          const wanted = { ...asked, stream_options: { ...own, include_usage: true } }
          // The stage would refuse a member that stands twice.
          if (meterOf(chatPath, found).requestReport() !== undefined) return false
          return JSON.stringify(sorted(JSON.parse(found))) === JSON.stringify(sorted(wanted))
        },
      ),
      { numRuns: 500 },
    )
  },
)

/** The same with members in the order of their names. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .map(([name, member]) => [name, sorted(member)] as const)
    .sort(([a], [b]) => (a < b ? -1 : 1))
}
