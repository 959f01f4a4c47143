import t from 'tap'
import { readArchive } from '#policy/bundle/archive.ts'
import type { Assembly, Task } from '#policy/bundle/assembly/assemble.ts'
import { createAssembler } from '#policy/bundle/assembly/assembler.ts'
import { startAssembly } from '#policy/bundle/assembly/start.ts'
import { createCompiler } from '#policy/bundle/compile.ts'
import { type Part, partAfter } from '#policy/bundle/part.ts'
import { startEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { goTool } from '../../harness/go-tools.ts'
import { archive } from './archive.ts'

const decision = 'envoy/authz/allow'
const opa = await goTool('opa')
const wanted = { decisions: [decision], optional: ['system/log/mask'] }
const raw = async (files: Parameters<typeof archive>[0], place = 'b') => ({
  kind: 'members' as const,
  members: await readArchive(archive(files), place),
  place,
  verification: undefined,
})
const policy = {
  'p.rego':
    'package envoy.authz\n\nallow := data.people[input.user] if input.user\n\nallow := data.big == 12345678901234567890 if not input.user\n',
  '.manifest': { roots: ['envoy'], revision: 'p1' },
}
const people = {
  'data.json': Buffer.from('{"people": {"ann": 1}, "big": 12345678901234567890}'),
  '.manifest': { roots: ['people', 'big'], revision: 'd1' },
}
const delta = {
  'patch.json': { data: [{ op: 'upsert', path: '/people/bob', value: 2 }] },
  '.manifest': { roots: ['people', 'big'], revision: 'd2' },
}

const here = createAssembler(createCompiler({ opa }), { threadedFromBytes: Number.POSITIVE_INFINITY })
const elsewhere = createAssembler(createCompiler({ opa }), { threadedFromBytes: 0 })

/** Of a module with its data. */
const imageOf = (policy: Assembly['policies'][number]) =>
  'image' in policy ? Buffer.from(policy.image).toString('base64') : policy

t.test('a thread of its own makes the same of bundles as this one', async (t) => {
  const rules = partAfter(undefined, await raw(policy))
  const first = partAfter(undefined, await raw(people))
  const second = partAfter(first, await raw(delta))
  const third = partAfter(
    second,
    await raw({ ...delta, 'patch.json': { data: [{ op: 'remove', path: '/people/ann' }] } }),
  )
  const rows: [name: string, parts: [string, Part][], isWhole: boolean, answers: unknown[]][] = [
    ['a part', [['rules', rules]], false, []],
    [
      'the whole',
      [
        ['rules', rules],
        ['people', first],
      ],
      true,
      [1, undefined],
    ],
    [
      'a change',
      [
        ['rules', rules],
        ['people', second],
      ],
      true,
      [1, 2],
    ],
    [
      'two changes',
      [
        ['rules', rules],
        ['people', third],
      ],
      true,
      [undefined, 2],
    ],
  ]
  for (const [name, parts, isWhole, answers] of rows) {
    const task: Task = { parts: new Map(parts), isWhole, wanted }
    const [mine, other] = await Promise.all([here(task), elsewhere(task)])
    t.same(other.claims, mine.claims, name)
    t.same(other.answers, mine.answers, name)
    t.same(other.policies.map(imageOf), mine.policies.map(imageOf), name)
    if (!isWhole) continue
    const engine = await startAssembly(other, startEngine)
    const ask = (input: object) => engine.evaluate(decision, new InputDocument(input as never), { nowNs: 0n })
    t.same(
      ['ann', 'bob'].map((user) => ask({ user })),
      answers,
      name,
    )
    t.equal(ask({}), true, `${name}: every digit of the data`)
  }
})

t.test('a thread tells what is wrong as this one does', async (t) => {
  const rules = partAfter(undefined, await raw(policy, 'rules.tar.gz'))
  const rows: [name: string, part: Part, code: string, found: RegExp][] = [
    [
      'data that is none',
      partAfter(undefined, await raw({ 'data.json': Buffer.from('{') }, 'x.tar.gz')),
      'bundle_refused',
      /JSON/,
    ],
    [
      'overlapping roots',
      partAfter(undefined, await raw({ '.manifest': { roots: ['envoy/authz'] } })),
      'bundle_roots_overlap',
      /envoy/,
    ],
    [
      'Rego that does not compile',
      partAfter(undefined, await raw({ 'q.rego': 'package q\n\nx := y\n', '.manifest': { roots: ['q'] } })),
      'policy_compilation_failed',
      /q\.rego/,
    ],
  ]
  for (const [name, part, code, found] of rows) {
    const task: Task = {
      parts: new Map([
        ['rules', rules],
        ['other', part],
      ]),
      isWhole: true,
      wanted,
    }
    const faults = await Promise.all(
      [here, elsewhere].map((run) =>
        run(task).then(
          () => undefined,
          (cause) => cause,
        ),
      ),
    )
    t.match(faults[0], { code, found }, name)
    t.match(
      faults[1],
      {
        name: 'SluiceError',
        code,
        place: faults[0].place,
        found: faults[0].found,
        expected: faults[0].expected,
      },
      name,
    )
  }
  const noDecision: Task = {
    parts: new Map([['rules', rules]]),
    isWhole: true,
    wanted: { ...wanted, decisions: ['a/b'] },
  }
  const slow = createAssembler(createCompiler({ opa: '/nowhere/opa' }), { threadedFromBytes: 0 })
  await t.rejects(slow({ ...noDecision, wanted }), { code: 'opa_missing', expected: /opa build -t wasm/ })
  await t.rejects(elsewhere(noDecision), { name: 'SluiceError' })
})

t.test('changes without end are refused, so that the whole is sent again', async (t) => {
  let part = partAfter(undefined, await raw(people))
  const change = await raw(delta, 'deltas')
  for (let i = 0; i < 100; i++) part = partAfter(part, change)
  t.throws(() => partAfter(part, change), {
    message: /^deltas: patch\.json: .* expected a snapshot again$/,
  })
  t.throws(() => partAfter(undefined, change), { message: /expected a snapshot to begin with$/ })
})
