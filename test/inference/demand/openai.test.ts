import t from 'tap'
import fc from '../../fast-check.ts'
import { chatPath, demandOf, judged } from '../a-call.ts'

const unbounded = Number.MAX_SAFE_INTEGER
const messages = [{ role: 'user', content: 'hello' }]
const ask = (path: string, members: object) => demandOf(path, JSON.stringify({ model: 'm', ...members }))

t.test('what bounds the output is read, and nothing that is odd is believed', async (t) => {
  const rows: [rule: string, members: object, tokens: number, isBounded: boolean][] = [
    ['O1 max_tokens', { max_tokens: 7 }, 7, true],
    ['O1 max_completion_tokens', { max_completion_tokens: 9 }, 9, true],
    ['O1 max_output_tokens', { max_output_tokens: 9 }, 9, true],
    ['O2 of several the largest', { max_tokens: 7, max_completion_tokens: 9 }, 9, true],
    ['O2 whichever comes first', { max_completion_tokens: 7, max_tokens: 9 }, 9, true],
    ['O3 for each answer', { max_tokens: 7, n: 3 }, 21, true],
    ['O3 best_of above n', { max_tokens: 7, n: 3, best_of: 5 }, 35, true],
    ['O3 n above best_of', { max_tokens: 7, n: 5, best_of: 3 }, 35, true],
    ['O3 null is absent', { max_tokens: 7, n: null }, 7, true],
    ['O4 beams', { max_tokens: 7, n: 2, beam_width: 4 }, 56, true],
    ['O5 absent', {}, 0, false],
    ['O5 null', { max_tokens: null }, 0, false],
    ['O5 only n', { n: 4 }, 0, false],
    ['O6 negative', { max_tokens: -1 }, 0, false],
    ['O6 zero', { max_tokens: 0 }, 0, false],
    ['O6 a fraction', { max_tokens: 1.5 }, 0, false],
    ['O6 digits in quotes', { max_tokens: '7' }, 0, false],
    ['O6 a list', { max_tokens: [7] }, 0, false],
    ['O6 true', { max_tokens: true }, 0, false],
    ['O6 2^53', { max_tokens: 2 ** 53 }, 0, false],
    ['O6 one good, one odd', { max_tokens: 7, max_completion_tokens: -7 }, 0, false],
    ['O6 n negative', { max_tokens: 7, n: -1 }, 0, false],
    ['O6 n zero', { max_tokens: 7, n: 0 }, 0, false],
    ['O6 n in quotes', { max_tokens: 7, n: '100' }, 0, false],
    ['O7 2^53-1', { max_tokens: unbounded }, unbounded, true],
    ['O7 an absurd n', { max_tokens: 1000, n: 2 ** 52 }, unbounded, true],
    ['O8 another case is another name', { Max_Tokens: 7 }, 0, false],
  ]
  for (const [rule, members, tokens, isBounded] of rows) {
    const { bound, isOutputBounded } = ask(chatPath, { messages, ...members })
    t.same([bound.outputTokens, isOutputBounded], [tokens, isBounded], rule)
    t.equal(bound.reasoningTokens, tokens, rule)
  }
  for (const literal of ['1e400', '-0.0', '9007199254740993', '1e-400']) {
    const text = `{"model":"m","messages":[],"max_tokens":${literal}}`
    t.equal(demandOf(chatPath, text).isOutputBounded, false, literal)
  }
})

t.test('how many answers are asked for is known where nothing bounds them', async (t) => {
  const rows: [path: string, members: object, answers: number][] = [
    [chatPath, { messages }, 1],
    [chatPath, { messages, n: 100 }, 100],
    [chatPath, { messages, n: 2, best_of: 8 }, 8],
    [chatPath, { messages, n: 2, beam_width: 4 }, 8],
    [chatPath, { messages, max_tokens: '7', n: 3 }, 3],
    // Lenient servers take these for numbers.
    [chatPath, { messages, n: '1_00' }, 100],
    [chatPath, { messages, n: 2.5 }, 3],
    [chatPath, { messages, n: 1e300 }, unbounded],
    [chatPath, { messages, n: -5 }, 1],
    [chatPath, { messages, n: [7] }, 1],
    [chatPath, { messages, n: 'many' }, 1],
    ['/v1/completions', { prompt: ['a', 'b', 'c'], n: 2 }, 6],
  ]
  for (const [path, members, answers] of rows) {
    const found = ask(path, members)
    t.same([found.answers, found.isOutputBounded], [answers, false], JSON.stringify(members))
  }
})

t.test('every prompt of a list is answered', async (t) => {
  const rows: [path: string, members: object, inferences: number, tokens: number][] = [
    ['/v1/completions', { prompt: 'a', max_tokens: 5 }, 1, 5],
    ['/v1/completions', { prompt: ['a', 'b', 'c'], max_tokens: 5, n: 2 }, 3, 30],
    ['/v1/completions', { prompt: [1, 2, 3], max_tokens: 5 }, 1, 5],
    ['/v1/completions', { prompt: [[1, 2], [3]], max_tokens: 5 }, 2, 10],
    ['/v1/embeddings', { input: ['a', 'b'] }, 2, 0],
    ['/v1/embeddings', { input: 'a' }, 1, 0],
    ['/v1/rerank', { query: 'q', documents: ['a', 'b', 'c'] }, 3, 0],
    ['/v1/score', { text_1: 'q', text_2: ['a', 'b'] }, 2, 0],
    [chatPath, { messages: [...messages, ...messages], max_tokens: 5 }, 1, 5],
    ['/v1/responses', { input: [...messages, ...messages], max_output_tokens: 5 }, 1, 5],
  ]
  for (const [path, members, inferences, tokens] of rows) {
    const { bound, isOutputBounded } = ask(path, members)
    t.equal(bound.inferences, inferences, `${path} ${JSON.stringify(members)}`)
    t.equal(bound.outputTokens, tokens, `${path} ${JSON.stringify(members)}`)
    t.ok(isOutputBounded)
  }
})

t.test('a prompt has at most as many tokens as octets, and what the template adds', async (t) => {
  const inputOf = (path: string, members: object) => ask(path, members).bound.inputTokens
  const text = 'é😀'.repeat(1000)
  const long = 'x'.repeat(10_000)
  const parts = (...content: object[]) => ({ messages: [{ role: 'user', content }] })
  const rows: [rule: string, members: object, from: number, to: number][] = [
    ['I1 text, in UTF-8', { messages: [{ role: 'user', content: text }] }, 6000, 6200],
    ['I1 parts of text', parts({ type: 'text', text }, { type: 'text', text }), 12_000, 12_250],
    ['I1 a part that is a text', parts(text as unknown as object), 6000, 6200],
    ['I2 each message', { messages: Array.from({ length: 100 }, () => messages[0]) }, 1600, 3500],
    ['I3 tools', { messages, tools: [{ function: { name: 'f', description: long } }] }, 10_500, 10_900],
    ['I3 names of members too', { messages, tools: [{ [long]: 1 }] }, 10_000, 10_900],
    ['I3 a member that nobody knows', { messages, extra: { a: [long] } }, 10_000, 10_300],
    [
      'I4 a picture, whatever its octets',
      parts({ image_url: { url: `data:image/png;base64,${long}` } }),
      16_384,
      16_600,
    ],
    [
      'I4 a picture by its address',
      parts({ type: 'image_url', image_url: { url: 'https://a/b' } }),
      16_384,
      16_600,
    ],
    [
      'I4 a picture of the Responses API',
      parts({ type: 'input_image', image_url: `data:image/png,${long}` }),
      16_384,
      16_600,
    ],
    ['I5 sound', parts({ input_audio: { data: 'x'.repeat(800_000) } }), 50_000, 50_300],
    ['I5 a file by its octets', parts({ file: { file_data: 'x'.repeat(80_000) } }), 80_000, 80_300],
    [
      'I5 a picture of Anthropic',
      parts({ source: { type: 'base64', media_type: 'image/png', data: long } }),
      16_384,
      16_600,
    ],
    ['I6 a document in text', parts({ source: { type: 'text', data: 'x'.repeat(50_000) } }), 50_000, 50_300],
    [
      'I6 no picture outside of the parts',
      { messages, tools: [{ image_url: 'x'.repeat(50_000) }] },
      50_000,
      50_900,
    ],
    [
      'I6 nor in a message itself',
      { messages: [{ role: 'user', image_url: 'x'.repeat(50_000) }] },
      50_000,
      50_300,
    ],
    ['I7 an earlier conversation', { input: 'x', previous_response_id: 'r' }, unbounded, unbounded],
    ['I7 a stored prompt', { input: 'x', prompt: { id: 'p' } }, unbounded, unbounded],
    ['I7 a template of the caller', { messages, chat_template: '{{ x }}' }, unbounded, unbounded],
    ['I7 null is absent', { messages, chat_template: null, previous_response_id: null }, 60, 200],
    ['I8 what is no prompt', { messages, user: long, metadata: { a: long } }, 60, 200],
  ]
  for (const [rule, members, from, to] of rows) {
    const tokens = inputOf(chatPath, members)
    t.ok(tokens >= from && tokens <= to, `${rule}: ${tokens}`)
  }
  t.ok(inputOf('/v1/embeddings', { input: Array.from({ length: 5000 }, () => 123_456) }) < 5200, 'token ids')
  t.ok(
    inputOf('/v1/rerank', { query: long, documents: ['a', 'b', 'c'] }) > 30_000,
    'a query with each document',
  )
  t.ok(inputOf('/v1/score', { text_1: long, text_2: ['a', 'b', 'c'] }) > 30_000, 'a text with each other')
})

t.test('a text is never bounded below its octets, wherever it stands', async () => {
  const place = fc.constantFrom(
    (text: string) => ({ messages: [{ role: 'user', content: text }] }),
    (text: string) => ({ messages: [{ role: 'user', content: [{ type: 'text', text }] }] }),
    (text: string) => ({ messages: [{ role: text, content: '' }] }),
    (text: string) => ({ messages: [{ role: 'tool', content: [{ content: [{ content: [{ text }] }] }] }] }),
    (text: string) => ({ messages: [{ tool_calls: [{ function: { arguments: text } }] }] }),
    (text: string) => ({ prompt: text }),
    (text: string) => ({ prompt: [text, 'x'] }),
    (text: string) => ({ input: [{ role: 'user', content: [{ type: 'input_text', text }] }] }),
    (text: string) => ({ system: text }),
    (text: string) => ({ system: [{ type: 'text', text }] }),
    (text: string) => ({ instructions: text }),
    (text: string) => ({ suffix: text }),
    (text: string) => ({ response_format: { json_schema: { [text]: 1 } } }),
  )
  fc.assert(
    fc.property(place, fc.string({ unit: 'binary', maxLength: 400 }), (at, text) => {
      fc.pre(text.toLowerCase() !== '__proto__')
      const { bound } = ask(chatPath, at(text))
      return bound.inputTokens >= Buffer.byteLength(text) && bound.cachedInputTokens === bound.inputTokens
    }),
    { numRuns: 500 },
  )
})

t.test('of a body that was not read everything is bounded by its octets', async (t) => {
  const body = JSON.stringify({ model: 'm', messages, max_tokens: 5 })
  const cut = demandOf(chatPath, body.slice(0, 20), {
    isBodyComplete: false,
    headers: [['content-length', String(body.length)]],
  })
  t.equal(cut.isOutputBounded, false)
  t.equal(cut.bound.requestBytes, body.length)
  t.ok(cut.bound.inputTokens >= body.length && cut.bound.inputTokens < body.length + 1000)
  t.equal(cut.bound.inferences, 1)
  const unseen = demandOf('/v1/completions', undefined, {
    isBodyComplete: false,
    headers: [['content-length', '99']],
  })
  t.equal(unseen.bound.inferences, 99)

  const rows: [name: string, change: Parameters<typeof judged>[2], body?: string][] = [
    ['without a length', { isBodyComplete: false }, body.slice(0, 20)],
    ['without a length, unseen', { isBodyComplete: false }],
    ['admission alone, which sees no body', { api: 'ext_authz' }],
    ['compressed', { headers: [['content-encoding', 'gzip']] }, '\x1f\x8b'],
  ]
  for (const [name, change, seen] of rows)
    t.equal(demandOf(chatPath, seen, change).bound.inputTokens, unbounded, name)
  t.equal(demandOf('/v1/embeddings', undefined, { isBodyComplete: false }).bound.inferences, unbounded)
})

t.test('a form with sound is bounded by its octets', async (t) => {
  const headers = [['content-type', 'multipart/form-data; boundary=x']] as const
  const path = '/v1/audio/transcriptions'
  const { bound, isOutputBounded } = demandOf(path, 'x'.repeat(1_600_000), { headers })
  t.same([bound.inputTokens, bound.inferences, isOutputBounded], [100_000, 1, false])
  t.equal(demandOf(path, undefined, { headers, isBodyComplete: false }).bound.inputTokens, unbounded)
})

t.test('what can be sent as JSON has a demand of whole numbers, at once and always the same', async (t) => {
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (members) => {
      const { x, verdict } = judged(chatPath, JSON.stringify({ ...members, model: 'm' }))
      if (verdict.kind !== 'allow') return true
      const demand = x.demand?.()
      if (demand === undefined || demand !== x.demand?.()) return false
      return Object.values(demand.bound).every((amount) => Number.isSafeInteger(amount) && amount >= 0)
    }),
    { numRuns: 500 },
  )
  const deep = `{"model":"m","a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`
  t.ok(demandOf(chatPath, deep).bound.inputTokens >= 100_000)
  const nested = `{"model":"m","messages":[${'{"content":['.repeat(20_000)}"x"${']}'.repeat(20_000)}]}`
  t.ok(demandOf(chatPath, nested).bound.inputTokens >= 20_000)
})

t.test('a call that computes nothing has no demand and no meter', async (t) => {
  for (const [path, method] of [
    ['/v2/models/fraud', 'GET'],
    ['/v2/health/live', 'GET'],
  ] as const) {
    const { x } = judged(path, undefined, { method })
    t.same([x.demand, x.meter], [undefined, undefined], path)
  }
})
