import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readRules } from '../../../agent/limits/rls/rules.ts'
import type { Compat } from '../../../agent/limits/rls/types.ts'
import { ratelimitSource } from '../../harness/ratelimit.ts'
import { asFixed, descriptor, file, limiter, request, told } from './kit.ts'

const peerFiles = join(await ratelimitSource(), 'test', 'config')

/** The files of the peer's own tests that it refuses; it refuses all of these with every setting. */
const refused: readonly (readonly [file: string, problem: RegExp])[] = [
  ['bad_limit_unit.yaml', /foo; expected second, minute/],
  ['bad_yaml.yaml', /bad_yaml/],
  ['duplicate_key.yaml', /key1 value1 a second time/],
  ['empty_domain.yaml', /domain.*expected text/],
  ['empty_key.yaml', /key.*expected text/],
  ['misspelled_key.yaml', /ratelimit: a key that is not known/],
  ['misspelled_key2.yaml', /requestsperunit: a key that is not known/],
  ['non_map_list.yaml', /"a"; expected a map/],
  ['non_string_key.yaml', /0\.25/],
  ['replaces_empty.yaml', /name/],
  ['replaces_self.yaml', /its own name self/],
  ['unlimited_with_unit.yaml', /unit day of no limit/],
]
/** Those that it refuses in company only. */
const inCompany = ['duplicate_domain.yaml', 'merge_domain_key1.yaml', 'merge_domain_key2.yaml']

for (const compat of ['fixed', 'strict'] as const) {
  const read = (names: readonly string[], mergeDomains = false) =>
    readRules(
      names.map((name) => join(peerFiles, name)),
      { compat, mergeDomains },
    )

  t.test(`${compat}: what envoyproxy/ratelimit refuses, is refused with its place`, async (t) => {
    for (const [name, problem] of refused) {
      t.throws(() => read([name]), { message: problem }, name)
      t.throws(() => read([name]), { message: new RegExp(`${name}:\\d+:\\d+`) }, name)
    }
    t.throws(() => read(['basic_config.yaml', 'duplicate_domain.yaml']), {
      message: /test-domain a second time/,
    })
    t.throws(() => read(['merge_domain_key1.yaml', 'merge_domain_key1.yaml'], true), {
      message: /key1 value1 a second time/,
    })
  })

  t.test(`${compat}: every other configuration of its tests loads`, async (t) => {
    const bad = new Set([...refused.map(([name]) => name), ...inCompany])
    const good = readdirSync(peerFiles).filter((name) => name.endsWith('.yaml') && !bad.has(name))
    t.ok(good.length >= 4, 'they are there')
    for (const name of good) t.doesNotThrow(() => read([name]), name)
    for (const name of inCompany) t.doesNotThrow(() => read([name]), name)
    t.equal(read(['merge_domain_key1.yaml', 'merge_domain_key2.yaml'], true).domains.size, 1)
  })
}

/** What its own tests say of the limits in its files. */
const found: readonly (readonly [file: string, path: string, limit: number | undefined])[] = [
  ['basic_config.yaml', 'key1=something', undefined],
  ['basic_config.yaml', 'key1=value1', undefined],
  ['basic_config.yaml', 'key2=value2,subkey=subvalue', undefined],
  ['basic_config.yaml', 'key5=value5,subkey5=subvalue', undefined],
  ['basic_config.yaml', 'key1=value1,subkey1=something', 5],
  ['basic_config.yaml', 'key1=value1,subkey1=subvalue1', 10],
  ['basic_config.yaml', 'key2=something', 20],
  ['basic_config.yaml', 'key2=value2', 30],
  ['basic_config.yaml', 'key2=value3', undefined],
  ['basic_config.yaml', 'key3=foo', 1],
  ['basic_config.yaml', 'key4=foo', 1],
  ['basic_config.yaml', 'key5=value5', 15],
  ['basic_config.yaml', 'key5=value5,subkey5=subvalue5', 25],
  ['basic_config.yaml', 'key7=unspecified_value', 70],
  ['shadowmode_config.yaml', 'key1=value1,subkey1=something', 5],
  ['shadowmode_config.yaml', 'key1=value1,subkey1=subvalue1', 10],
  ['shadowmode_config.yaml', 'key2=something', 20],
  ['wildcard.yaml', 'wild=foo1', 20],
  ['wildcard.yaml', 'wild=bar', undefined],
  ['wildcard.yaml', 'noWild=foo1', undefined],
  ['wildcard.yaml', 'noVal=foo2', 20],
  ['wildcard.yaml', 'midWildcard=barab', undefined],
  ['wildcard.yaml', 'nestedWild=val1,wild=goo2', 20],
  ['share_threshold.yaml', 'files=files/a.pdf', 100],
  ['share_threshold.yaml', 'nested=parent,files=nested/a', 200],
  ['share_threshold.yaml', 'files=top/a,files=nested/b', 300],
  ['share_threshold.yaml', 'route=api/v1,method=GET', 60],
  ['share_threshold.yaml', 'path=path/1,file=file/1,type=t', 120],
  ['share_threshold.yaml', 'user=user/1,resource=res/1,action=a', 150],
  ['share_threshold.yaml', 'file=test1', 50],
  ['share_threshold.yaml', 'file=test2', 100],
]

t.test('each descriptor finds the limit that it finds there', async (t) => {
  for (const compat of ['fixed', 'strict'] as const) {
    for (const [name, path, limit] of found) {
      const { ask } = limiter(readFileSync(join(peerFiles, name), 'utf8'), { compat })
      const answer = await ask({ ...request(path), domain: 'test-domain' })
      t.equal(told(answer)[2], limit, `${compat} ${name} ${path}`)
    }
  }
})

/** Its spelling, by what is read of it. */
const spellings: readonly (readonly [
  text: string,
  compat: Compat,
  path: string,
  limit: number | undefined,
])[] = [
  ['[{key: k, rate_limit: {unit: MINUTE, requests_per_unit: 7}}]', 'fixed', 'k=1', 7],
  ['[{key: k, rate_limit: {unit: mInUtE, requests_per_unit: 7}}]', 'fixed', 'k=1', 7],
  ['[{key: k, value: 010, rate_limit: {unit: day, requests_per_unit: 7}}]', 'fixed', 'k=010', 7],
  ['[{key: k, value: 0x10, rate_limit: {unit: day, requests_per_unit: 0x10}}]', 'fixed', 'k=0x10', 16],
  ['[{key: k, value: yes, rate_limit: {unit: day, requests_per_unit: 010}}]', 'fixed', 'k=yes', 8],
  ['[{key: k, value: "", rate_limit: {unit: day, requests_per_unit: 1}}]', 'fixed', 'k=x', 1],
  ['[{key: k, value: , rate_limit: {unit: day, requests_per_unit: 1}}]', 'fixed', 'k=x', 1],
  ['[{key: k, shadow_mode: on, rate_limit: {unit: day, requests_per_unit: 1}}]', 'fixed', 'k=x', 1],
  ['[{key: k, rate_limit: }]', 'fixed', 'k=x', undefined],
  [
    '[{key: k, rate_limit: &l {unit: day, requests_per_unit: 4}}, {key: m, rate_limit: *l}]',
    'fixed',
    'm=x',
    4,
  ],
  [
    '[{key: k, rate_limit: &l {unit: day, requests_per_unit: 4}}, {key: m, rate_limit: {<<: *l, name: n}}]',
    'fixed',
    'm=x',
    4,
  ],
  ['[{key: k, rate_limit: {unit: day}}]', 'strict', 'k=x', 0],
  ['[{key: a, value: "b*c", rate_limit: {unit: day, requests_per_unit: 1}}]', 'strict', 'a=bxc', undefined],
  ['[{key: a, value: "b*c", rate_limit: {unit: day, requests_per_unit: 1}}]', 'fixed', 'a=bxc', 1],
  ['[{key: a, value: "b*c*d", rate_limit: {unit: day, requests_per_unit: 1}}]', 'fixed', 'a=bcxcd', 1],
  ['[{key: a, value: "b*c*d", rate_limit: {unit: day, requests_per_unit: 1}}]', 'fixed', 'a=bd', undefined],
  ['[{key: a, value: "bc*cd", rate_limit: {unit: day, requests_per_unit: 1}}]', 'fixed', 'a=bcd', undefined],
  ['[{key: "a*", rate_limit: {unit: day, requests_per_unit: 1}}]', 'strict', 'abc=x', 1],
  ['[{key: a, value: b, rate_limit: {unit: day, requests_per_unit: 1}}]', 'strict', 'a_b=x', 1],
  ['[{key: a, value: b, rate_limit: {unit: day, requests_per_unit: 1}}]', 'fixed', 'a_b=x', undefined],
  ['[{key: k, rate_limit: {unlimited: true, unit: fortnight}}]', 'strict', 'k=x', undefined],
]

t.test('files are read as they are meant, and as they are read there', async (t) => {
  for (const [text, compat, path, limit] of spellings) {
    const { ask } = limiter(`domain: models\ndescriptors: ${text}\n`, { compat })
    t.equal(told(await ask(request(descriptor(path))))[2], limit, `${compat} ${text} ${path}`)
  }
})

t.test('a file has as many domains as documents; strict looks at the first', async (t) => {
  const text = 'domain: a\n---\ndomain: b\n'
  t.equal(readRules([file(text)], asFixed).domains.size, 2)
  t.equal(readRules([file(text)], { ...asFixed, compat: 'strict' }).domains.size, 1)
})

const wrong: readonly (readonly [text: string, problem: RegExp])[] = [
  ['descriptors: []', /domain/],
  ['domain: a\nlimits: []', /limits/],
  ['domain: a\ndescriptors: [{key: k, rate_limit: {unit: day}}]', /requests_per_unit/],
  ['domain: a\ndescriptors: [{key: k, rate_limit: {unit: day, requests_per_unit: -1}}]', /requests_per_unit/],
  [
    'domain: a\ndescriptors: [{key: k, rate_limit: {unit: day, requests_per_unit: 4294967296}}]',
    /4294967295/,
  ],
  ['domain: a\ndescriptors: [{key: k, rate_limit: {unit: day, requests_per_unit: 1.5}}]', /whole number/],
  ['domain: a\ndescriptors: [{key: k, rate_limit: {unlimited: true, unit: fortnight}}]', /unlimited alone/],
  ['domain: a\ndescriptors: [{key: k, requests_per_unit: 5}]', /requests_per_unit/],
  ['domain: a\ndescriptors: [{key: k}, {key: k}]', /a second time/],
  ['domain: a\n---\ndomain: a', /the domain a a second time/],
  ['domain: a\ndescriptors: [{key: "k*"}]', /star in the value/],
  ['domain: a\ndescriptors: [{key: k, value: v, share_threshold: true}]', /share_threshold.*without a star/],
  ['domain: a\ndescriptors: [{key: k, metadata: 5}]', /metadata/],
  ['domain: a\ndescriptors: [{key: k, shadow_mode: maybe}]', /shadow_mode.*true or false/],
  ['domain: a\ndomain: b', /unique/],
]
for (const [text, problem] of wrong) {
  t.test(`refused, with its place: ${text.replaceAll('\n', ' ')}`, async (t) => {
    const path = file(text)
    t.throws(() => readRules([path], asFixed), { message: problem })
    t.throws(() => readRules([path], asFixed), { message: new RegExp(`${path}:\\d`) })
  })
}

t.test('a few lines that stand for gigabytes are refused', async (t) => {
  const levels = Array.from(
    { length: 12 },
    (_, i) => `  x${i}: &x${i} [${i === 0 ? '1' : `*x${i - 1},`.repeat(9)}]`,
  )
  t.throws(() => readRules([file(`domain: a\nmetadata:\n${levels.join('\n')}\n`)], asFixed), {
    message: /aliases/i,
  })
})
