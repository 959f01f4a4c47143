import t from 'tap'
import fc from '../../fast-check.ts'
import { bundle, bundles } from '../../harness/identity-source.ts'
import { ca, envoyId, freshPair, otherId, own, partners, type Said, setting, stranger } from './setting.ts'
import { type Answer, contentOf, forms, plain, talk } from './talk.ts'

const one = freshPair()
const states: readonly Said[] = [
  { svids: [one, freshPair(otherId)], bundles: bundles(own, partners) },
  { svids: [freshPair(), freshPair(otherId)], bundles: bundles(own, partners) },
  { svids: [one], bundles: bundles(own) },
  { svids: [freshPair(otherId)], bundles: bundles(bundle('example.org', ca.bundlePem, stranger.bundlePem)) },
  { svids: [], bundles: bundles(own) },
  { svids: [], bundles: bundles() },
  { svids: [one], bundles: bundles(partners) },
]
const names = ['default', envoyId, otherId, 'ROOTCA', 'ALL', 'spiffe://a.partner.org']

const step = fc.oneof(
  fc.record({ kind: fc.constant('say' as const), state: fc.nat(states.length - 1) }),
  fc.record({ kind: fc.constant('want' as const), names: fc.subarray(names, { minLength: 1 }) }),
  fc.record({ kind: fc.constant('accept' as const) }),
)

for (const form of forms) {
  t.test(
    `${form}: whatever is said and wanted in whatever order, in the end Envoy has what a newcomer gets`,
    async (t) => {
      fc.assert(
        fc.property(fc.array(step, { maxLength: 25 }), fc.nat(states.length - 1), (steps, last) => {
          const { discovery, source } = setting()
          const envoy = talk(discovery, form)
          const has = new Map<string, unknown>()
          let wanted: readonly string[] = ['default']
          let unanswered: Answer[] = []
          const listen = () => {
            const answers = envoy.heard()
            for (const { secrets } of answers) {
              for (const secret of secrets) {
                if (!wanted.includes(secret.name)) throw new Error(`${secret.name} was not asked for`)
                has.set(secret.name, plain(contentOf(secret)))
              }
            }
            unanswered.push(...answers)
          }
          const accept = () => {
            listen()
            const answer = form === 'delta' ? unanswered.shift() : unanswered.at(-1)
            if (form !== 'delta') unanswered = []
            if (answer !== undefined) envoy.accept(answer.nonce)
            listen()
          }
          envoy.want(wanted)
          for (const each of steps) {
            if (each.kind === 'say') source.say(states[each.state] as Said)
            else if (each.kind === 'accept') accept()
            else {
              listen()
              for (const name of has.keys()) if (!each.names.includes(name)) has.delete(name)
              wanted = each.names
              envoy.want(wanted)
            }
            listen()
          }
          source.say(states[last] as Said)
          listen()
          while (unanswered.length > 0) accept()

          const newcomer = talk(discovery, form)
          newcomer.want(wanted)
          const due = new Map(
            newcomer
              .heard()
              .flatMap(({ secrets }) => secrets.map((each) => [each.name, plain(contentOf(each))])),
          )
          for (const [name, content] of due) if (!same(has.get(name), content)) return false
          // What is not there any more may be held in the form that nobody passes, and in no other.
          for (const [name, content] of has)
            if (!due.has(name) && wanted.includes(name) && !isHarmless(name, content, last)) return false
          return true
        }),
        { numRuns: 100 },
      )
      t.pass('100 conversations')
    },
  )
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** Nobody's; or a pair of ours in a state that has one by its name which does not fit, so that the one before stays. */
function isHarmless(name: string, content: unknown, last: number): boolean {
  if (typeof content !== 'string') return JSON.stringify(content).includes('nobody.invalid')
  const state = states[last] as Said
  const isNamed = name === 'default' ? state.svids.length > 0 : state.svids.some(({ id }) => id.text === name)
  const ours = states.flatMap(({ svids }) =>
    svids.map(({ chain }) => chain[0]?.der.toString('base64').slice(0, 60)),
  )
  const isOurs = ours.some((start) => content.replaceAll('\n', '').includes(start as string))
  return isNamed || !isOurs
}
