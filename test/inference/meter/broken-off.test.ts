import t from 'tap'
import { createInferenceStage } from '#inference/inference.ts'
import fc from '../../fast-check.ts'
import { chatPath, measured, meterOf, sse } from '../a-call.ts'
import { chunk, events, request } from './a-stream.ts'

const report = (tokens: number) =>
  events(JSON.stringify({ choices: [], usage: { prompt_tokens: 9, completion_tokens: tokens } }), '[DONE]')

/** A server that puts so many tokens of four letters into each piece; `complete` and `broken` are streams of it. */
function aServer(options: { readonly perPiece: number; readonly piece?: string; readonly model?: string }) {
  const { perPiece, piece = 'abcd'.repeat(perPiece), model = 'm' } = options
  const pieces = (count: number) => events(...Array.from({ length: count }, () => chunk(piece)))
  return {
    complete: (stage: ReturnType<typeof createInferenceStage>, count: number) =>
      measured(
        meterOf(chatPath, request({ model }), {}, stage),
        pieces(count) + report(count * perPiece + 1),
        sse,
      ).metered,
    broken: (stage: ReturnType<typeof createInferenceStage>, count: number) =>
      measured(meterOf(chatPath, request({ model }), {}, stage), pieces(count), { ...sse, isBroken: true })
        .metered,
  }
}

t.test(
  'of a server that streams token by token a stream that breaks off is charged to the token',
  async (t) => {
    for (const piece of ['a', 'é', 'word', ' characters ', '\n']) {
      const stage = createInferenceStage()
      const server = aServer({ perPiece: 1, piece })
      t.equal(server.broken(stage, 37).usage.outputTokens, 37, `${piece}: before anything was reported`)
      for (let i = 0; i < 50; i++) server.complete(stage, 24)
      for (const count of [1, 10, 37, 400])
        t.match(
          server.broken(stage, count),
          { source: 'estimated', isComplete: false, usage: { outputTokens: count } },
          piece,
        )
    }
  },
)

t.test('what a server reports of whole streams says what the pieces of broken ones were', async (t) => {
  const rows: [rule: string, server: ReturnType<typeof aServer>, perPiece: number][] = [
    ['three short tokens in each piece', aServer({ perPiece: 3, piece: 'abc abc abc' }), 3],
    ['ten in each', aServer({ perPiece: 10 }), 10],
    ['tokens that are long', aServer({ perPiece: 1, piece: 'x'.repeat(24) }), 1],
    ['a token for four pieces', aServer({ perPiece: 0.25, piece: 'x' }), 0.25],
  ]
  for (const [rule, server, perPiece] of rows) {
    const stage = createInferenceStage()
    for (let i = 0; i < 40; i++) server.complete(stage, 100)
    const { outputTokens } = server.broken(stage, 200).usage
    t.ok(Math.abs(outputTokens - 200 * perPiece) <= 0.05 * 200 * perPiece + 2, `${rule}: ${outputTokens}`)
  }
})

t.test('what a server reports of prompts says what those of broken streams were', async (t) => {
  const stage = createInferenceStage()
  const asked = (words: number) =>
    meterOf(chatPath, request({ messages: [{ role: 'user', content: 'word '.repeat(words) }] }), {}, stage)
  const first = measured(asked(100), events(chunk('a')), { ...sse, isBroken: true }).metered.usage
  t.ok(first.inputTokens > 100, 'before anything was reported by its length')
  const usage = { prompt_tokens: 109, completion_tokens: 1 }
  measured(asked(100), events(chunk('a'), JSON.stringify({ choices: [], usage })), sse)
  t.equal(measured(asked(100), '', { ...sse, isBroken: true }).metered.usage.inputTokens, 109)
  measured(asked(100), JSON.stringify({ choices: [], usage: { ...usage, prompt_tokens: 2 ** 30 } }))
  const most = measured(asked(100), '', { ...sse, isBroken: true }).metered.usage.inputTokens
  t.ok(most < 1000, `${most}: never more than the length allows`)
})

t.test('what is learned of one model is not believed of another', async (t) => {
  const stage = createInferenceStage()
  const [one, other] = [aServer({ perPiece: 3, piece: 'abc abc abc' }), aServer({ perPiece: 1, model: 'n' })]
  for (let i = 0; i < 40; i++) one.complete(stage, 100)
  t.equal(other.broken(stage, 50).usage.outputTokens, 50)
})

t.test('nothing is learned of what is not believed, was not shown, or is another answer', async (t) => {
  const stage = createInferenceStage()
  const pieces = events(...Array.from({ length: 40 }, () => chunk('word')))
  const usage = { prompt_tokens: 9, completion_tokens: 4000 }
  const answers: [text: string, answer: object][] = [
    [pieces + report(1), sse],
    [pieces + report(2 ** 31), sse],
    [
      pieces +
        events(
          JSON.stringify({
            choices: [],
            usage: { ...usage, completion_tokens_details: { reasoning_tokens: 3960 } },
          }),
        ),
      sse,
    ],
    [pieces + report(4000), { ...sse, isBroken: true }],
    [pieces + report(4000), { ...sse, status: 500 }],
    [pieces + report(4000) + events(chunk('late')), sse],
    [JSON.stringify({ choices: [{ message: { content: 'x' } }], usage }), {}],
  ]
  for (const [text, answer] of answers)
    for (let i = 0; i < 10; i++) measured(meterOf(chatPath, request(), {}, stage), text, answer)
  t.equal(aServer({ perPiece: 1 }).broken(stage, 50).usage.outputTokens, 50)
})

t.test(
  'whatever was reported before, a stream that breaks off takes an amount in proportion to its pieces',
  async () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: 2 ** 31 })), {
          maxLength: 20,
        }),
        fc.integer({ min: 1, max: 300 }),
        (seen, count) => {
          const stage = createInferenceStage()
          for (const [pieces, tokens] of seen) {
            const text = events(...Array.from({ length: pieces }, () => chunk('word'))) + report(tokens)
            measured(meterOf(chatPath, request(), {}, stage), text, sse)
          }
          const { outputTokens } = aServer({ perPiece: 1 }).broken(stage, count).usage
          return outputTokens >= Math.round(count / 8) && outputTokens <= 8 * count
        },
      ),
    )
  },
)

t.test('a report is believed where the answer begins with its prompt', async (t) => {
  const echoed = request({ prompt: 'x'.repeat(4000), echo: true, stream: false, max_tokens: 1 })
  const usage = { prompt_tokens: 1000, completion_tokens: 1 }
  const body = JSON.stringify({ choices: [{ text: `${'x'.repeat(4000)}y` }], usage })
  t.match(measured(meterOf('/v1/completions', echoed), body).metered, {
    source: 'reported',
    usage: { inputTokens: 1000, outputTokens: 1 },
  })
  t.match(measured(meterOf('/v1/completions', request({ max_tokens: 9 })), body).metered, {
    source: 'estimated',
    usage: { outputTokens: 9 },
  })
})
