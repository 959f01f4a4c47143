import t from 'tap'
import { readBundle } from '#policy/bundle/bundle.ts'
import { createEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { parseExactJson } from '#policy/input/json-text.ts'
import { verdictOf } from '#policy/result.ts'
import { buildBundle, opaEval } from '../../harness/opa.ts'

const entrypoint = 'envoy/authz/allow'

async function engineOf(rule: string) {
  const bundle = await buildBundle({ files: { 'p.rego': `package envoy.authz\n\nallow := ${rule}\n` } })
  return createEngine({ ...readBundle(bundle, 'p', entrypoint), place: 'p' })
}

t.test('sets and numbers in a result are written as opa writes them', async (t) => {
  const rule = `{
    "set": {"c", "b", "a", 10, 9, {"y", "x"}},
    "keys": {1: "number", {"b", "a"}: "set"},
    "numbers": [9007199254740993, 100.0, 1e2, 2.50, 123456789012345678901234567890],
    "none": set(),
  }`
  const result = (await engineOf(rule)).evaluate(entrypoint, undefined, { nowNs: 0n })
  t.equal(JSON.stringify(sorted(result)), JSON.stringify(sorted(await opaEval(rule))))
})

t.test('a number of a client stays as it was written on the way through', async (t) => {
  const engine = await engineOf('{"seen": input.n, "text": sprintf("%v", [[input.n]])}')
  for (const text of ['100.0', '1e2', '9007199254740993', '0.10', '7']) {
    const input = new InputDocument(parseExactJson(`{"n": ${text}}`))
    const result = engine.evaluate(entrypoint, input, { nowNs: 0n })
    t.equal(JSON.stringify(sorted(result)), `{"seen":${text},"text":"[${text}]"}`)
  }
})

t.test('metadata that a policy sets has doubles for the numbers that only Rego holds', async (t) => {
  const engine = await engineOf(
    '{"allowed": true, "dynamic_metadata": {"at": 1700000000123456789, "n": 2.50}}',
  )
  const verdict = verdictOf(engine.evaluate(entrypoint, undefined, { nowNs: 0n }), 'id')
  t.match(verdict, {
    kind: 'allow',
    mutations: { dynamicMetadata: { at: 1700000000123456800, n: 2.5, decision_id: 'id' } },
  })
})

/** Members of objects by name: the module writes them in an order of its own. */
function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || 'rawJSON' in value) return value
  if (Array.isArray(value)) return value.map(sorted)
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]) => [key, sorted(item)] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  )
}

t.test('a plain true or false is known without being parsed', async (t) => {
  for (const expected of [true, false]) {
    const engine = await engineOf(`${expected}`)
    const parsed = t.capture(JSON, 'parse', JSON.parse)
    const result = engine.evaluate(entrypoint, undefined, { nowNs: 0n })
    const texts = parsed().map(({ args }) => args[0])
    parsed.restore()
    t.equal(result, expected)
    t.strictSame(texts, [], `${expected}: what was parsed`)
  }
})
