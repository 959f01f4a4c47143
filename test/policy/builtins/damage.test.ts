import { generateKeyPairSync } from 'node:crypto'
import t from 'tap'
import type { Builtin } from '#policy/builtins/builtin.ts'
import { builtins } from '#policy/builtins/builtins.ts'
import fc from '../../fast-check.ts'
import { answersTo } from './against-opa.ts'
import { altNames, asked, basicConstraints, issue, named, one, raw, requestOf } from './certificates.ts'
import { q } from './tokens.ts'

const rsa = generateKeyPairSync('rsa', { modulusLength: 1024 })
const pkcs1 = rsa.privateKey.export({ format: 'der', type: 'pkcs1' })

t.test('what is damaged is read as opa reads it, or not at all', async (t) => {
  const originals = [
    issue({ subject: one, issuer: one, extensions: [altNames(named(6, 'spiffe://td/x'), named(2, 'a.b'))] }),
    requestOf([asked(basicConstraints(true))]),
  ]
  const place = fc.record({ of: fc.nat({ max: 1 }), at: fc.nat({ max: 700 }), to: fc.nat({ max: 255 }) })
  const damaged = fc.sample(place, { numRuns: 250, seed: 5 }).map(({ of, at, to }) => {
    const bytes = Buffer.from(originals[of] as Buffer)
    bytes[at % bytes.length] = to
    const name = of === 0 ? 'parse_certificates' : 'parse_certificate_request'
    return `crypto.x509.${name}(${q(bytes.toString('base64'))})`
  })
  for (const { expression, ours, theirs } of await answersTo(damaged)) t.equal(ours, theirs, expression)
})

t.test('nothing that is read makes anything but a value or an error', async (t) => {
  const names = [...builtins.keys()].filter((name) => /^crypto\.(x509|parse)/.test(name))
  t.equal(names.length, 7)
  const text = fc.oneof(
    fc.string(),
    fc.string().map((each) => Buffer.from(each).toString('base64')),
    fc.uint8Array({ maxLength: 300 }).map((each) => Buffer.from(each).toString('base64')),
    fc.string().map((each) => `-----BEGIN ${each}-----\n${each}\n-----END ${each}-----\n`),
    fc.tuple(fc.nat({ max: pkcs1.length - 1 }), fc.nat({ max: 255 })).map(([at, to]) => {
      const bytes = Buffer.from(pkcs1)
      bytes[at] = to
      return `-----BEGIN RSA PRIVATE KEY-----\n${bytes.toString('base64')}\n-----END RSA PRIVATE KEY-----\n`
    }),
  )
  fc.assert(
    fc.property(fc.constantFrom(...names), text, (name, operand) => {
      const builtin = builtins.get(name) as Builtin
      try {
        builtin({ nowNs: 0n }, operand, name.endsWith('options') ? {} : operand)
      } catch (thrown) {
        return thrown instanceof Error
      }
      return true
    }),
    { numRuns: 1000 },
  )
})

t.test('large and nested nonsense ends soon', async (t) => {
  const parse = builtins.get('crypto.x509.parse_certificates') as Builtin
  const verify = builtins.get('crypto.x509.parse_and_verify_certificates') as Builtin
  let deep: Buffer = Buffer.alloc(0)
  for (let depth = 0; depth < 5000; depth++) deep = raw(0x30, deep)
  const zeros = Buffer.alloc(500_000).toString('base64')
  for (const text of [
    deep.toString('base64'),
    zeros,
    '-----BEGIN '.repeat(50_000),
    '-----BEGIN A-----\n-----END '.repeat(30_000),
  ]) {
    try {
      t.same(parse({ nowNs: 0n }, text), [], text.slice(0, 30))
    } catch (thrown) {
      t.ok(thrown instanceof Error, text.slice(0, 30))
    }
    t.same(verify({ nowNs: 0n }, text), [false, []], text.slice(0, 30))
  }
})
