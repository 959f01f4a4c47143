import t from 'tap'
import { type DecisionLog, openDecisionLog } from '#policy/log/log.ts'
import fc from '../../fast-check.ts'
import { eventually } from '../../harness/temp.ts'
import { eventsOf, labels, lossOf, validLogConfig, virtualTime } from './a-log.ts'
import { type Event, silentEngine, validDecided } from './decisions.ts'

/** What the log server does with the next uploads. */
type Behaviour = 'takes' | 'refuses' | 'fails' | 'resets' | 'takes and resets'
type Step =
  | { readonly kind: 'decide'; readonly count: number; readonly characters: number }
  | { readonly kind: 'pass'; readonly ms: number }
  | { readonly kind: 'server'; readonly behaviour: Behaviour }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    kind: fc.constant('decide' as const),
    count: fc.integer({ min: 1, max: 40 }),
    characters: fc.constantFrom(0, 10, 300, 3000),
  }),
  fc.record({ kind: fc.constant('pass' as const), ms: fc.constantFrom(0, 100, 1000, 5000) }),
  fc.record({
    kind: fc.constant('server' as const),
    behaviour: fc.constantFrom<Behaviour>('takes', 'refuses', 'fails', 'resets', 'takes and resets'),
  }),
)

const limit = fc.constantFrom(
  { kind: 'size' as const, bytes: undefined },
  { kind: 'size' as const, bytes: 1500 },
  { kind: 'size' as const, bytes: 200 },
  { kind: 'event' as const, events: 7 },
  { kind: 'event' as const, events: 1000 },
)

const sum = (values: Iterable<number>) => [...values].reduce((total, each) => total + each, 0)

function balance(log: DecisionLog) {
  const { received, dropped, delivered, waiting, lost } = log.account()
  return { received, isWhole: received === dropped + delivered + waiting + sum(lost.values()) }
}

/** An engine that drops every fifth decision. */
const dropping = {
  ...silentEngine,
  entrypoints: new Set(['system/log/drop']),
  evaluate: (_: string, input: { readonly value: unknown } | undefined) =>
    /[05]$/.test(String((input?.value as Event | undefined)?.['decision_id'])),
}

/** Lets compression and everything that waits for it happen. */
async function settle(log: DecisionLog) {
  let before = ''
  for (let same = 0; same < 5; ) {
    for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
    const now = JSON.stringify([log.account(), [...log.account().lost], log.bufferSize()])
    same = now === before ? same + 1 : 0
    before = now
  }
}

t.test('no event is lost without being counted, whatever the log server does', async (t) => {
  const seen = { lost: 0, delivered: 0, dropped: 0, reasons: new Set<string>() }
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 3, maxLength: 14 }),
      limit,
      fc.constantFrom('periodic' as const, 'immediate' as const),
      fc.constantFrom(400, 4000),
      fc.constantFrom(undefined, 20),
      fc.boolean(),
      async (steps, buffer, trigger, uploadLimitBytes, maxDecisionsPerSecond, isGoodInTheEnd) => {
        const time = virtualTime()
        let behaviour: Behaviour = 'takes'
        /** What the server has, by decision: it may have more than it said yes to. */
        const has = new Map<unknown, Event>()
        const acknowledged: Event[] = []
        const service = {
          post: async ({ body }: { readonly body: Buffer }) => {
            const events = eventsOf(body)
            if (body.length > uploadLimitBytes) throw new Error(`an upload of ${body.length} bytes`)
            if (behaviour.startsWith('takes'))
              for (const event of events) has.set(event['decision_id'], event)
            if (behaviour.endsWith('resets')) throw new Error('reset')
            if (behaviour === 'takes') acknowledged.push(...events)
            return { status: behaviour === 'takes' ? 200 : behaviour === 'refuses' ? 413 : 503 }
          },
        }
        const log = openDecisionLog({
          config: validLogConfig(
            service,
            { limit: buffer, trigger, uploadLimitBytes },
            { maxDecisionsPerSecond },
          ),
          labels,
          clock: time.clock,
          sleep: time.sleep,
          later: (due) => void setImmediate(due),
          random: () => 0.5,
          flushMs: isGoodInTheEnd ? 10_000 : 5,
          onProblem: () => {},
        })
        let number = 0
        for (const each of steps) {
          if (each.kind === 'server') behaviour = each.behaviour
          else if (each.kind === 'pass') {
            time.advance(each.ms)
            await settle(log)
          } else
            for (let one = 0; one < each.count; one++)
              log.sink(
                validDecided({
                  decisionId: `d${++number}`,
                  engine: dropping,
                  // Of no pattern, so that it does not compress to nothing.
                  document: { noise: noise(number, each.characters) },
                  atMs: time.clock.nowMs(),
                }),
              )
          t.match(balance(log), { received: number, isWhole: true }, JSON.stringify(each))
        }
        if (isGoodInTheEnd) behaviour = 'takes'
        await settle(log)
        await log[Symbol.asyncDispose]()
        const { dropped, delivered, waiting, lost } = log.account()
        t.match({ ...balance(log), waiting }, { received: number, isWhole: true, waiting: 0 })
        const decisions = new Set(
          acknowledged.filter((event) => lossOf(event) === undefined).map((event) => event['decision_id']),
        )
        t.equal(decisions.size, delivered, 'each decision that counts as delivered arrived, once')
        t.notOk(
          [...has.keys()].some((id) => /^d\d*[05]$/.test(String(id))),
          'nothing arrived that was dropped',
        )
        const told = sum(acknowledged.map((event) => lossOf(event)?.lost ?? 0))
        const total = sum(lost.values())
        t.ok(told <= total, `told of ${told}, lost ${total}`)
        if (isGoodInTheEnd && uploadLimitBytes > 400)
          t.equal(told, total, 'a server that answers in the end is told of every loss')
        seen.lost += total
        seen.delivered += delivered
        seen.dropped += dropped
        for (const reason of lost.keys()) seen.reasons.add(reason)
      },
    ),
    { numRuns: 150 },
  )
  for (const [what, count] of Object.entries(seen))
    t.ok(typeof count !== 'number' || count > 0, `some were ${what}: the test has tried it`)
  t.same([...seen.reasons].sort(), ['buffer_full', 'rate_limited', 'shutdown', 'too_large'])
})

function noise(seed: number, characters: number): string {
  let [text, state] = ['', seed + 1]
  while (text.length < characters) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    text += state.toString(36)
  }
  return text.slice(0, characters)
}

t.test('what comes faster than it can be written is lost and counted, by number and by size', async (t) => {
  const taken: Event[] = []
  const service = {
    post: async ({ body }: { readonly body: Buffer }) => {
      taken.push(...eventsOf(body))
      return { status: 200 }
    },
  }
  const sizes = [
    [5000, 10, 4096],
    [20, 1 << 20, 15],
  ] as const
  for (const [count, characters, kept] of sizes) {
    taken.length = 0
    let due: (() => void) | undefined
    await using log = openDecisionLog({
      config: validLogConfig(service, { uploadLimitBytes: 1 << 22 }),
      labels,
      later: (next) => {
        due = next
      },
      onProblem: () => {},
    })
    for (let number = 0; number < count; number++) {
      const decided = validDecided({ decisionId: `d${number}`, document: { text: 'x'.repeat(characters) } })
      // As the wasm engine leaves it.
      t.ok(decided.input.text.length > characters)
      log.sink(decided)
    }
    t.equal(log.account().lost.get('intake_full'), count - kept)
    t.match(balance(log), { isWhole: true })
    due?.()
    await eventually('every event to be written', () => log.account().waiting <= kept)
    await log[Symbol.asyncDispose]()
    t.same(taken.map((event) => lossOf(event)?.lost).filter(Boolean), [count - kept])
    t.equal(taken.length, kept + 1)
  }
})

t.test(
  'a log server gone for an hour: decisions go on, memory is bounded, and the loss is told of',
  async (t) => {
    const time = virtualTime()
    const taken: Event[] = []
    let isGone = true
    const service = {
      post: async ({ body }: { readonly body: Buffer }) => {
        if (isGone) throw new Error('ECONNREFUSED')
        taken.push(...eventsOf(body))
        return { status: 200 }
      },
    }
    const bytes = 20_000
    await using log = openDecisionLog({
      config: validLogConfig(service, {
        limit: { kind: 'size', bytes },
        uploadLimitBytes: 4000,
        minDelayMs: 5000,
        maxDelayMs: 10_000,
      }),
      labels,
      clock: time.clock,
      sleep: time.sleep,
      later: (due) => void setImmediate(due),
      onProblem: () => {},
    })
    const [began, hour, perStep] = [time.clock.nowMs(), 3_600_000, 20]
    let number = 0
    for (let passedMs = 0; passedMs < hour; passedMs += 30_000) {
      for (let each = 0; each < perStep; each++)
        log.sink(
          validDecided({
            decisionId: `d${++number}`,
            document: noise(number, 200),
            atMs: time.clock.nowMs(),
          }),
        )
      time.advance(30_000)
      await settle(log)
      t.ok((log.bufferSize()?.size ?? 0) <= bytes, `${log.bufferSize()?.size} bytes wait`)
      t.match(balance(log), { received: number, isWhole: true })
    }
    isGone = false
    await log[Symbol.asyncDispose]()
    const losses = taken.flatMap((event) => lossOf(event) ?? [])
    const told = sum(losses.map(({ lost }) => lost))
    t.equal(told + taken.length - losses.length, number)
    t.ok(told > number / 2, `${told} of ${number} were lost`)
    // What was told of and lost again is told of once more, in whichever order.
    const [earliest] = losses.map((loss) => (loss as { readonly since?: string }).since).sort()
    t.equal(earliest, new Date(began).toISOString().replace('.000Z', 'Z'))
  },
)
