import t from 'tap'
import { matchesPeer, parsePeerPattern } from '#identity/peer-pattern.ts'
import { parseSpiffeId, segmentFault, trustDomainFault } from '#identity/spiffe-id.ts'
import fc from '../fast-check.ts'

const legalPath = /[a-zA-Z0-9._-]/
const legalDomain = /[a-z0-9._-]/

t.test('every code point from 0 to 255 is judged by the standard', async (t) => {
  for (let code = 0; code < 256; code++) {
    const character = String.fromCharCode(code)
    t.equal(
      parseSpiffeId(`spiffe://td/a${character}b`).ok,
      legalPath.test(character) || character === '/',
      `path ${code}`,
    )
    t.equal(
      parseSpiffeId(`spiffe://t${character}d/a`).ok,
      legalDomain.test(character) || character === '/',
      `domain ${code}`,
    )
    t.equal(trustDomainFault(`trustdomain${character}`) === undefined, legalDomain.test(character))
    t.equal(segmentFault(`path${character}`) === undefined, legalPath.test(character))
  }
})

t.test('IDs that are none are refused, each with a reason', async (t) => {
  const none = [
    ...[
      '',
      'spiffe',
      'spiffe:/',
      'spiffe://',
      'spiffe:///a',
      'Spiffe://td/a',
      'SPIFFE://td/a',
      'https://td/a',
      ' spiffe://td/a',
    ],
    ...[
      'spiffe://td',
      'spiffe://td/',
      'spiffe://td//a',
      'spiffe://td/a/',
      'spiffe://td/a//b',
      'spiffe://td/.',
      'spiffe://td/../a',
    ],
    ...[
      'spiffe://TD/a',
      'spiffe://td:80/a',
      'spiffe://u@td/a',
      'spiffe://t%64/a',
      'spiffe://td/%61',
      'spiffe://td/a?q',
      'spiffe://td/a#f',
    ],
    ...[
      'spiffe://td/a;b',
      'spiffe://td/a,b',
      'spiffe://td/a\0',
      'spiffe://td/ä',
      'spiffe://[::1]/a',
      `spiffe://td/${'a'.repeat(2048)}`,
    ],
    `spiffe://${'d'.repeat(256)}/a`,
    ...[
      's',
      'spiffe:///',
      'spiffe://trustdomain//',
      'spiffe://trustdomain/./path',
      'spiffe://trustdomain/path/./other',
      'spiffe://trustdomain/path/..',
      'spiffe://trustdomain/..',
      'spiffe://%F0%9F%A4%AF/path',
      'spiffe://trustdomain/%F0%9F%A4%AF',
      'spiffe://%62%61%64/path',
      'spiffe://trustdomain/%62%61%64',
      'spiffe://trust$domain/path',
      'sparfe://trustdomain/path',
      'spiffe://trustdomain\\path',
      'spiffe://trustdomain/path ',
    ],
  ]
  for (const text of none) {
    const parsed = parseSpiffeId(text)
    t.notOk(parsed.ok, JSON.stringify(text.slice(0, 60)))
    if (!parsed.ok) t.ok(parsed.why.length > 0)
  }
})

t.test('IDs that look odd and are legal are accepted as they are', async (t) => {
  for (const text of [
    'spiffe://td/...',
    'spiffe://td/.path',
    'spiffe://td/..path',
    'spiffe://td/path..',
    'spiffe://./a',
    'spiffe://1.2.3.4/a',
    'spiffe://t_d-x.y/A_b-c.d/E',
    `spiffe://td/${'a'.repeat(2036)}`,
  ]) {
    const parsed = parseSpiffeId(text)
    t.ok(parsed.ok, text.slice(0, 60))
    if (parsed.ok) t.equal(`spiffe://${parsed.id.trustDomain}/${parsed.id.path.join('/')}`, text)
  }
})

t.test('patterns match whole segments only', async (t) => {
  const rows: [pattern: string, id: string, matches: boolean][] = [
    ['spiffe://td/ns/acme/**', 'spiffe://td/ns/acme/sa/x', true],
    ['spiffe://td/ns/acme/**', 'spiffe://td/ns/acme/x', true],
    ['spiffe://td/ns/acme/**', 'spiffe://td/ns/acme', false],
    ['spiffe://td/ns/acme/**', 'spiffe://td/ns/acme2/sa/x', false],
    ['spiffe://td/ns/acme/**', 'spiffe://td2/ns/acme/sa/x', false],
    ['spiffe://td/ns/*/sa/x', 'spiffe://td/ns/acme/sa/x', true],
    ['spiffe://td/ns/*/sa/x', 'spiffe://td/ns/acme/b/sa/x', false],
    ['spiffe://td/ns/acme', 'spiffe://td/ns/acme', true],
    ['spiffe://td/ns/acme', 'spiffe://td/ns/acme/x', false],
    ['spiffe://td/**', 'spiffe://td/x', true],
  ]
  for (const [pattern, id, expected] of rows) {
    const parsedPattern = parsePeerPattern(pattern)
    const parsedId = parseSpiffeId(id)
    if (!parsedPattern.ok || !parsedId.ok) return t.fail(`${pattern} ${id}`)
    t.equal(
      matchesPeer(parsedPattern.pattern, parsedId.id.trustDomain, parsedId.id.path),
      expected,
      `${pattern} ${id}`,
    )
  }
})

t.test('patterns that would match more than they say are refused', async (t) => {
  for (const text of [
    'spiffe://td',
    'spiffe://*/a',
    'spiffe://td/a*',
    'spiffe://td/**/a',
    'spiffe://td/',
    'td/a',
    'spiffe://td/../a',
  ]) {
    t.notOk(parsePeerPattern(text).ok, text)
  }
})

t.test('an ID is its own pattern, and no other ID matches it', async () => {
  const segment = fc.stringMatching(/^[a-zA-Z0-9_-]{1,8}$/)
  const path = fc.array(segment, { minLength: 1, maxLength: 5 })
  fc.assert(
    fc.property(path, path, (own, other) => {
      const parsed = parsePeerPattern(`spiffe://td/${own.join('/')}`)
      return parsed.ok && matchesPeer(parsed.pattern, 'td', other) === (own.join('/') === other.join('/'))
    }),
  )
})
