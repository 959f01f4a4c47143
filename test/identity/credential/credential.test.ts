import t from 'tap'
import { RequestHeaders } from '#decision/request-headers.ts'
import { readCredential } from '#identity/credential/credential.ts'
import fc from '../../fast-check.ts'

type HeaderList = readonly (readonly [name: string, value: string])[]

function read(list: HeaderList, query = '') {
  const headers = new RequestHeaders()
  for (const [name, value] of list) headers.add(name, value)
  return readCredential(headers, query)
}

const proof = 'eyJ0eXAi.eyJodG0i.c2ln'

t.test('one credential in its form is read as it is', async (t) => {
  const long = 'a'.repeat(8192)
  const rows: [list: HeaderList, expected: object][] = [
    [[], { kind: 'none' }],
    [[['authorization', 'Bearer mF_9.B5f-4.1JqM']], { kind: 'bearer', token: 'mF_9.B5f-4.1JqM' }],
    [[['authorization', 'bEaReR   a~b+c/d==']], { kind: 'bearer', token: 'a~b+c/d==' }],
    [[['authorization', `Bearer ${long}`]], { kind: 'bearer', token: long }],
    [
      [
        ['authorization', 'DPoP tok'],
        ['dpop', proof],
      ],
      { kind: 'dpop', token: 'tok', proof },
    ],
    [
      [
        ['Authorization', 'dpop tok'],
        ['DPoP', proof],
      ],
      { kind: 'dpop', token: 'tok', proof },
    ],
    [[['authorization', 'Basic dXNlcjpwYXNz']], { kind: 'none' }],
    [[['authorization', 'Digest username="a", realm="b"']], { kind: 'none' }],
  ]
  for (const [list, expected] of rows) t.same(read(list), expected, JSON.stringify(list).slice(0, 80))
  for (const query of [
    '',
    '?',
    '?a=access_token',
    'access_tokens=1',
    '?my_access_token=1',
    '?token=%41',
    '?%zz=1',
  ])
    t.same(read([], query), { kind: 'none' }, query)
})

t.test('two credentials are none', async (t) => {
  const bearer = ['authorization', 'Bearer a'] as const
  const rows: [list: HeaderList, query?: string][] = [
    [[bearer, bearer]],
    [[bearer, ['authorization', 'Basic dXNlcjpwYXNz']]],
    [[['authorization', ''], bearer]],
    [[['authorization', 'Bearer a,Bearer b']]],
    [[['authorization', 'Bearer a, b']]],
    [[['authorization', 'Bearer a b']]],
    [[['authorization', 'Bearer a ']]],
    [[['authorization', 'Basic dXNlcjpwYXNz,Bearer a']]],
    [[['authorization', 'Basic dXNlcjpwYXNz ,\t dpop a']]],
    [
      [
        ['authorization', 'Bearer a'],
        ['dpop', proof],
      ],
    ],
    [
      [
        ['authorization', 'Basic dXNlcjpwYXNz'],
        ['dpop', proof],
      ],
    ],
    [
      [
        ['authorization', 'DPoP a'],
        ['dpop', proof],
        ['dpop', proof],
      ],
    ],
    [[bearer], '?access_token=b'],
    [[], '?access_token=b'],
    [[], 'a=b&access_token'],
    [[], '?a=b;ACCESS_TOKEN=b'],
    [[], '?%61ccess%5Ftoken=b'],
    [[], '?access_%74oken='],
  ]
  for (const [list, query] of rows)
    t.match(
      read(list, query),
      { kind: 'refused', reason: 'credentials_ambiguous' },
      JSON.stringify([list, query]),
    )
})

t.test('what is no token is refused before anybody looks into it', async (t) => {
  const rows: [value: string, why: RegExp][] = [
    ['Bearer', /without a token/],
    ['Bearer ', /empty/],
    ['Bearer    ', /empty/],
    ['Bearer ==', /character/],
    ['Bearer a=b', /character/],
    ['Bearer a"b', /character/],
    ['Bearer a\u0000b', /character/],
    ['Bearer a\tb', /character/],
    ['Bearer a\u007f', /character/],
    ['Bearer ä', /character/],
    [`Bearer ${'a'.repeat(8193)}`, /longer/],
    ['Bearer\ta', /no scheme/],
    ['', /no scheme/],
    [' Bearer a', /no scheme/],
    ['Béarer a', /no scheme/],
  ]
  for (const [value, why] of rows)
    t.match(
      read([['authorization', value]]),
      { kind: 'refused', reason: 'token_malformed', why },
      value.slice(0, 40),
    )
  t.match(read([['dpop', proof]]), { kind: 'refused', reason: 'token_malformed' })
  const proofs: HeaderList[] = [
    [['authorization', 'DPoP a']],
    [
      ['authorization', 'DPoP a'],
      ['dpop', ''],
    ],
    [
      ['authorization', 'DPoP a'],
      ['dpop', `${proof},${proof}`],
    ],
    [
      ['authorization', 'DPoP a'],
      ['dpop', ` ${proof}`],
    ],
    [
      ['authorization', 'DPoP a'],
      ['dpop', 'a'.repeat(8193)],
    ],
  ]
  for (const list of proofs)
    t.match(read(list), { kind: 'refused', reason: 'dpop_proof_invalid' }, JSON.stringify(list).slice(0, 80))
})

t.test('whatever is read as a token is one, and stands in the header as it is', async (t) => {
  const part = fc.string({ unit: fc.constantFrom(...'Bearer DPoPdpop ,=ab1-._~+/\t\u0000"ä'), maxLength: 20 })
  const scheme = fc.constantFrom('Bearer ', 'DPoP ', 'bearer  ', '', 'Basic ')
  fc.assert(
    fc.property(scheme, part, fc.option(part, { nil: undefined }), (start, rest, dpop) => {
      const value = start + rest
      const read1 = read([['authorization', value], ...(dpop === undefined ? [] : [['dpop', dpop] as const])])
      if (read1.kind !== 'bearer' && read1.kind !== 'dpop') return
      t.match(read1.token, /^[A-Za-z0-9._~+/-]+=*$/)
      t.ok(value.endsWith(` ${read1.token}`))
      t.equal(value.slice(0, -read1.token.length).trimEnd().toLowerCase(), read1.kind)
      t.equal(read1.proof, dpop)
    }),
    { numRuns: 3000 },
  )
})
