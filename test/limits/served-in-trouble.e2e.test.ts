import t from 'tap'
import { type Scene, startScriptedModel } from '../harness/scripted-model.ts'
import { eventually } from '../harness/temp.ts'
import { aQuota, type Pod, type Reply, startQuotaWorld } from './quota-world.ts'

const promptTokens = 7
const answerTokens = 12

/** One kind of answer: what it streams, what its client does, and what the call is charged. */
interface Kind {
  readonly name: string
  /** More of the request. */
  readonly ask?: object
  readonly play: (scene: Scene) => Promise<void>
  /** Tokens of the call where they are certain; of its output what they have to be where it breaks off or nobody reports. */
  readonly charged: number | ((output: number, reply: Reply | undefined) => boolean)
  /** What the client reads, where that is not what was played. */
  readonly reads?: (reply: Reply) => boolean
  readonly leave?: (text: string) => boolean
}

const all = promptTokens + answerTokens
const usage = { prompt_tokens: promptTokens, completion_tokens: answerTokens, total_tokens: all }
const delta = (delta: object, more: object = {}) =>
  JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta }], ...more })
const word = (index: number) => delta({ content: `w${index} ` })
const report = JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [], usage })
const words = Array.from({ length: answerTokens }, (_, index) => word(index))
const event = (data: string) => `data: ${data}\n\n`

/** Streams events as they are; the report only to who asks for it, as servers do. */
function stream(events: readonly string[], options: { readonly end?: 'reset' } = {}): Kind['play'] {
  return async (scene) => {
    scene.head(200, 'text/event-stream')
    const isWanted = JSON.parse(scene.body).stream_options?.include_usage === true
    for (const each of events) if (isWanted || !each.includes('"choices":[],')) await scene.write(each)
    if (options.end === 'reset') scene.reset()
    else scene.end()
  }
}

/** The octets of a text one by one, or so many at a time. */
function inPieces(text: string, size: number): Kind['play'] {
  return async (scene) => {
    scene.head(200, 'text/event-stream')
    const octets = Buffer.from(text)
    for (let at = 0; at < octets.length; at += size) await scene.write(octets.subarray(at, at + size))
    scene.end()
  }
}

/** Streams events, and goes on with nothing until its client has left. */
function untilLeft(events: readonly string[]): Kind['play'] {
  return async (scene) => {
    scene.head(200, 'text/event-stream')
    for (const each of events) await scene.write(each.startsWith(':') ? `${each}\n\n` : event(each))
    await eventually('the client leaves', () => scene.isLeft())
  }
}

function whole(status: number, body: object): Kind['play'] {
  return async (scene) => {
    scene.head(status, 'application/json')
    await scene.write(JSON.stringify(body))
    scene.end()
  }
}

const plain = [...words, report, '[DONE]'].map(event)
const wordsIn = (reply: Reply | undefined) => (reply?.text.split('"content"').length ?? 1) - 1
const isSilent = ({ text }: Reply) => !text.includes('"usage":{')
const tellsAll = ({ text }: Reply) => text.includes('"usage":{') && text.endsWith('data: [DONE]\n\n')

const kinds: readonly Kind[] = [
  { name: 'as most servers do', play: stream(plain), charged: all, reads: isSilent },
  {
    name: 'CRLF',
    play: stream(plain.map((each) => each.replaceAll('\n', '\r\n'))),
    charged: all,
    reads: isSilent,
  },
  {
    name: 'CR',
    play: stream(plain.map((each) => each.replaceAll('\n', '\r'))),
    charged: all,
    reads: isSilent,
  },
  { name: 'octet by octet', play: inPieces(plain.join(''), 1), charged: all, reads: isSilent },
  {
    name: 'characters of several octets, cut within them',
    play: inPieces(plain.join('').replaceAll('w', '中é😀'), 3),
    charged: all,
    reads: ({ text }) => text.split('中é😀').length - 1 === answerTokens,
  },
  {
    name: 'comments that keep it alive',
    play: stream([': ping\n\n', ...plain.flatMap((each) => [': ping\n\n', each]), ':\n\n']),
    charged: all,
    reads: isSilent,
  },
  {
    name: 'two choices',
    ask: { n: 2 },
    play: stream(
      [
        ...words.map((each, index) => each.replace('"index":0', `"index":${index % 2}`)),
        report,
        '[DONE]',
      ].map(event),
    ),
    charged: all,
    reads: isSilent,
  },
  {
    name: 'calls of tools, and deltas with nothing in them',
    ask: { tools: [{ type: 'function', function: { name: 'f' } }] },
    play: stream(
      [
        delta({ role: 'assistant', content: '' }),
        delta({ tool_calls: [{ index: 0, id: 'x', function: { name: 'f', arguments: '' } }] }),
        ...words.map((_, index) =>
          delta({ tool_calls: [{ index: 0, function: { arguments: `${index}` } }] }),
        ),
        delta({}),
        report,
        '[DONE]',
      ].map(event),
    ),
    charged: all,
    reads: isSilent,
  },
  {
    name: 'a client that asks for the report',
    ask: { stream_options: { include_usage: true } },
    play: stream(plain),
    charged: all,
    reads: tellsAll,
  },
  {
    name: 'one that says it wants none',
    ask: { stream_options: { include_usage: false } },
    play: stream(plain),
    charged: all,
    reads: isSilent,
  },
  {
    name: 'options of nothing',
    ask: { stream_options: {} },
    play: stream(plain),
    charged: all,
    reads: isSilent,
  },
  {
    name: 'options that are null',
    ask: { stream_options: null },
    play: stream(plain),
    charged: all,
    reads: isSilent,
  },
  {
    name: 'options of others',
    ask: { stream_options: { chunk: 1 } },
    play: stream(plain),
    charged: all,
    reads: isSilent,
  },
  {
    name: 'text behind the end',
    play: stream([...plain, event(word(98)), event(word(99))]),
    charged: all + 2,
  },
  {
    name: 'a report that lies low',
    play: stream(
      [
        ...words,
        report.replace(`"completion_tokens":${answerTokens}`, '"completion_tokens":1'),
        '[DONE]',
      ].map(event),
    ),
    charged: all,
  },
  {
    name: 'a report of none',
    play: stream(
      [
        ...words,
        report.replace(`"completion_tokens":${answerTokens}`, '"completion_tokens":0'),
        '[DONE]',
      ].map(event),
    ),
    charged: all,
  },
  {
    name: 'no report',
    play: stream([...words, '[DONE]'].map(event)),
    charged: (output) => output === answerTokens,
  },
  {
    name: 'an error in the stream',
    play: stream(
      [...words.slice(0, 5), JSON.stringify({ error: { message: 'broke' } }), '[DONE]'].map(event),
    ),
    charged: (output) => output === 5,
  },
  {
    name: 'a server that breaks off',
    play: stream(words.slice(0, 5).map(event), { end: 'reset' }),
    charged: (output, reply) => output >= wordsIn(reply) && output <= 5,
  },
  {
    name: 'one that breaks off behind the head',
    play: stream([], { end: 'reset' }),
    charged: (output) => output === 0,
  },
  {
    name: 'a client that leaves',
    play: untilLeft(words.slice(0, 5)),
    leave: (text) => text.includes('w4 '),
    charged: (output) => output === 5,
  },
  {
    name: 'a client that leaves as soon as there is a head',
    play: untilLeft([': computing']),
    leave: (text) => text.includes(': computing'),
    charged: (output) => output === 0,
  },
  { name: 'an error of the client', play: whole(400, { error: { message: 'no' } }), charged: 0 },
  { name: 'an error of the server', play: whole(500, { error: { message: 'no' } }), charged: 0 },
  { name: 'too much for the server', play: whole(503, { error: { message: 'no' } }), charged: 0 },
  { name: 'no answer at all', play: async (scene) => scene.reset(), charged: 0 },
  {
    name: 'one document',
    ask: { stream: false },
    play: whole(200, { choices: [{ message: { content: 'a b c' } }], usage }),
    charged: all,
  },
]

t.test('whatever the server streams, what is charged is what it served', async (t) => {
  await using model = await startScriptedModel(async (scene) => {
    const { user } = JSON.parse(scene.body) as { readonly user: string }
    await (kinds.find(({ name }) => name === user) as Kind).play(scene)
  })
  const tenants = kinds.map((_, index) => `tenant-${index}`)
  await using world = await startQuotaWorld({
    tenants,
    modelPort: model.port,
    quotas: [
      aQuota({
        limits: [
          { unit: 'tokens', name: 'tokens', limit: 1_000_000, period: { unit: 'year' } },
          { unit: 'outputTokens', name: 'output', limit: 1_000_000, period: { unit: 'year' } },
        ],
      }),
    ],
  })
  const [pod] = world.pods as [Pod]
  for (const [index, { name, ask, charged, reads, leave }] of kinds.entries()) {
    const reply = await world
      .ask({
        pod,
        tenant: tenants[index] as string,
        body: {
          model: 'llama',
          user: name,
          stream: true,
          max_tokens: 40,
          messages: [{ role: 'user', content: 'hello there, my friend' }],
          ...ask,
        },
        ...(leave && { leave }),
      })
      .catch(() => undefined)
    const line = await eventually(`${name}: the call is settled`, () =>
      pod.auditLines().find((each) => each['phase'] === 'usage' && each['tenant'] === tenants[index]),
    )
    const { 'all/tokens': units = -1, 'all/output': output = -1 } = line['charged'] as Record<string, number>
    if (typeof charged === 'number') t.equal(units, charged, name)
    else t.ok(charged(output, reply), `${name}: ${output}`)
    t.ok(units - output <= 3 * promptTokens, `${name}: ${units - output} for the prompt`)
    if (reads !== undefined) t.ok(reply !== undefined && reads(reply), `${name}: ${reply?.text}`)
  }
})
