import t from 'tap'
import type { QuotaNotice } from '#decision/verdict.ts'
import { openAiHeaders, rateLimitHeaders } from '#limits/answer/answer.ts'
import { writeMember } from '#limits/answer/structured-field.ts'
import fc from '../../fast-check.ts'

const notice = (more: Partial<QuotaNotice> = {}): QuotaNotice => ({
  name: 'q/requests-1m',
  unit: 'requests',
  quota: 100,
  windowSeconds: 60,
  remaining: 99,
  resetSeconds: 1,
  ...more,
})

t.test('a limit is one member of each header', async (t) => {
  const rows: readonly (readonly [Partial<QuotaNotice>, policy: string, state: string])[] = [
    [{}, '"q/requests-1m";q=100;w=60', '"q/requests-1m";r=99;t=1'],
    [{ name: 'q/b', unit: 'bytes', quota: 5 }, '"q/b";q=5;w=60;qu="content-bytes"', '"q/b";r=99;t=1'],
    [{ name: 'q/b', unit: 'requestBytes' }, '"q/b";q=100;w=60;qu="content-bytes"', '"q/b";r=99;t=1'],
    [
      { name: 'q/t', unit: 'tokens', windowSeconds: 86_400 },
      '"q/t";q=100;w=86400;sluice-unit="tokens"',
      '"q/t";r=99;t=1',
    ],
    [{ name: 'q/u', unit: 'units' }, '"q/u";q=100;w=60;sluice-unit="units"', '"q/u";r=99;t=1'],
    [{ remaining: Number.NaN }, '"q/requests-1m";q=100;w=60', '"q/requests-1m";r=0;t=1'],
    [{ windowSeconds: 0 }, '"q/requests-1m";q=100;w=1', '"q/requests-1m";r=99;t=1'],
    [
      { quota: 2 ** 63, remaining: 2 ** 60, resetSeconds: Number.POSITIVE_INFINITY },
      '"q/requests-1m";q=999999999999999;w=60',
      '"q/requests-1m";r=999999999999999',
    ],
  ]
  for (const [more, policy, state] of rows) {
    t.same(rateLimitHeaders([notice(more)]), [
      ['ratelimit-policy', policy],
      ['ratelimit', state],
    ])
  }
  const { windowSeconds: _, ...running } = notice({
    name: 'q/c',
    unit: 'concurrency',
    quota: 4,
    remaining: 3,
  })
  t.same(rateLimitHeaders([running, notice()]), [
    ['ratelimit-policy', '"q/c";q=4;qu="concurrent-requests", "q/requests-1m";q=100;w=60'],
    ['ratelimit', '"q/c";r=3, "q/requests-1m";r=99;t=1'],
  ])
  t.same(rateLimitHeaders([]), [])
})

t.test('whatever it is made of, a list reads back as it was meant', async () => {
  const printable = /^[\x20-\x7e]*$/
  const parameter = fc.tuple(
    fc.constantFrom('q', 'r', 't'),
    fc.oneof(fc.double(), fc.string({ unit: 'binary' })),
  )
  fc.assert(
    fc.property(
      fc.array(fc.record({ name: fc.string({ unit: 'binary' }), parameters: fc.array(parameter) })),
      (members) => {
        const text = members.map(writeMember).join(', ')
        if (!printable.test(text)) return false
        const strings = text.match(/"(?:[^"\\]|\\["\\])*"/g) ?? []
        const outside = text.replace(/"(?:[^"\\]|\\["\\])*"/g, 'S')
        const member = '(S(;[qrt]=(S|[0-9]{1,15}))*)'
        const isList =
          members.length === 0 ? text === '' : new RegExp(`^${member}(, ${member})*$`).test(outside)
        const texts = members.flatMap(({ name, parameters }) => [
          name,
          ...parameters.flatMap(([, value]) => (typeof value === 'string' ? [value] : [])),
        ])
        const readBack = strings.map((each) => each.slice(1, -1).replace(/\\(.)/g, '$1'))
        const meant = texts.map((each) => each.replace(/[^\x20-\x7e]/g, ''))
        return isList && JSON.stringify(readBack) === JSON.stringify(meant)
      },
    ),
  )
})

t.test(
  'a client of OpenAI reads what is left of the limit with the least, and when it is there again',
  async (t) => {
    const tokens = (remaining: number, resetSeconds: number) =>
      notice({ name: 'q/tokens', unit: 'tokens', remaining, resetSeconds })
    const rows: readonly (readonly [readonly QuotaNotice[], object])[] = [
      [[], {}],
      [[notice({ unit: 'bytes' }), notice({ unit: 'units' }), notice({ unit: 'concurrency' })], {}],
      [
        [notice({ remaining: 7, resetSeconds: 90 }), notice({ remaining: 8, quota: 9 })],
        {
          'x-ratelimit-limit-requests': '100',
          'x-ratelimit-remaining-requests': '7',
          'x-ratelimit-reset-requests': '1m30s',
        },
      ],
      [
        [tokens(-5, 7201)],
        {
          'x-ratelimit-limit-tokens': '100',
          'x-ratelimit-remaining-tokens': '0',
          'x-ratelimit-reset-tokens': '2h0m1s',
        },
      ],
      [
        [tokens(0, Number.POSITIVE_INFINITY)],
        { 'x-ratelimit-limit-tokens': '100', 'x-ratelimit-remaining-tokens': '0' },
      ],
    ]
    for (const [notices, wanted] of rows) t.same(Object.fromEntries(openAiHeaders(notices)), wanted)
  },
)
