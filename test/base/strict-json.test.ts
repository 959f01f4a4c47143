import t from 'tap'
import { parseStrictJson } from '#base/strict-json.ts'
import fc from '../fast-check.ts'

t.test('whatever JSON.stringify writes is read as JSON.parse reads it', async (t) => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 8 }), fc.nat(3), (value, indent) => {
      const text = JSON.stringify(value, null, indent)
      if (text.includes('"__proto__"')) return
      const parsed = parseStrictJson(text)
      t.ok(parsed.ok, text)
      if (parsed.ok) t.equal(JSON.stringify(parsed.value), JSON.stringify(JSON.parse(text)))
    }),
    { numRuns: 300 },
  )
})

t.test('what JSON.parse refuses is refused, and nothing is thrown', async (t) => {
  const pieces = [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"b"',
    '1',
    '-',
    '0',
    '01',
    '1.',
    '.5',
    '1e5',
    'true',
    'nul',
    ' ',
    '\n',
    '"\\',
    '"',
    '\\u12',
    '\u0000',
    '\ufeff',
  ]
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), (parts) => {
      const text = parts.join('')
      let isJson = true
      try {
        JSON.parse(text)
      } catch {
        isJson = false
      }
      const parsed = parseStrictJson(text)
      if (!isJson) t.notOk(parsed.ok, JSON.stringify(text))
      else if (!parsed.ok) t.match(parsed.why, /stands twice|too large/, JSON.stringify(text))
    }),
    { numRuns: 3000 },
  )
})

t.test('what has two meanings is refused', async (t) => {
  const rows: [name: string, text: string, why: RegExp][] = [
    ['a member twice', '{"a":1,"a":1}', /stands twice/],
    ['twice under another spelling', '{"tenant":1,"ten\\u0061nt":2}', /stands twice/],
    ['twice further in', '{"a":[{"b":{"c":1,"c":2}}]}', /stands twice/],
    ['null and then something', '{"a":null,"a":1}', /stands twice/],
    ['__proto__', '{"__proto__":{"admin":true}}', /__proto__/],
    ['__proto__ in escapes', '{"\\u005f_proto__":1}', /__proto__/],
    ['half a surrogate pair', '"\\ud800"', /surrogate/],
    ['half a surrogate pair as a name', '{"\\udc00":1}', /surrogate/],
    ['text that is no Unicode', '"\ud800"', /no Unicode/],
    ['a number beyond a double', '1e999', /too large/],
    ['something behind', '{} {}', /follows/],
    ['a byte order mark', '\ufeff{}', /not a value/],
    ['nothing', '', /not a value/],
    ['nested too deep', `${'['.repeat(33)}${']'.repeat(33)}`, /too deep/],
    ['very deep', '['.repeat(1_000_000), /too deep/],
  ]
  for (const [name, text, why] of rows) t.match(parseStrictJson(text), { ok: false, why }, name)
  t.match(parseStrictJson(`${'['.repeat(32)}${']'.repeat(32)}`), { ok: true })
})

t.test('objects have no prototype, and nothing in them can be changed', async (t) => {
  const parsed = parseStrictJson('{"constructor":1,"toString":{"a":[1,{}]},"hasOwnProperty":2}')
  t.ok(parsed.ok)
  if (!parsed.ok) return
  const value = parsed.value as Record<string, Record<string, unknown[]>>
  t.equal(Object.getPrototypeOf(value), null)
  t.equal(Object.getPrototypeOf(value['toString']), null)
  t.equal((value as Record<string, unknown>)['valueOf'], undefined)
  for (const each of [value, value['toString'], value['toString']?.['a'], value['toString']?.['a']?.[1]])
    t.ok(Object.isFrozen(each))
})
