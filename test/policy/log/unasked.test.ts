import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { unaskedRule } from '#policy/log/unasked.ts'
import { openPolicy } from '#policy/policy.ts'
import { buildBundle } from '../../harness/opa.ts'
import { temporaryFolder } from '../../harness/temp.ts'

const logDecisions = ['system/log/mask', 'system/log/drop']

t.test('a rule in source is found however it is written, and nothing else is', async (t) => {
  const head = '# METADATA\npackage system.log\n\n'
  const rows: [source: string, found: string | undefined][] = [
    [`${head}mask contains "/input/x"`, 'system/log/mask'],
    [`${head}mask["/input/x"] {\n\ttrue\n}`, 'system/log/mask'],
    [`${head}mask := {"/input"} if input.x`, 'system/log/mask'],
    [`${head}default drop := false`, 'system/log/drop'],
    [`${head}drop if input.x`, 'system/log/drop'],
    [`${head}masked if input.x`, undefined],
    [`${head}# mask contains`, undefined],
    ['package other\n\nmask := 1', undefined],
    ['mask := 1', undefined],
  ]
  for (const [source, found] of rows) t.equal(unaskedRule([source], new Set(), logDecisions), found, source)
  t.equal(unaskedRule([`${head}mask := 1`], new Set(['system/log/mask']), logDecisions), undefined)
})

t.test('a bundle whose mask could not be asked is refused where a log is written', async (t) => {
  const files = {
    'authz.rego': 'package envoy.authz\n\nallow := true\n',
    'log.rego': 'package system.log\n\nmask contains "/input/secret"\n',
  }
  using folder = temporaryFolder()
  const file = join(folder.path, 'bundle.tar.gz')
  const decision = 'envoy/authz/allow'
  const problemOf = async (moreEntrypoints: readonly string[], isLogged: boolean) => {
    writeFileSync(file, await buildBundle({ files, moreEntrypoints }))
    await using policy = await openPolicy({
      source: { file },
      decision,
      onLoad: () => {},
      ...(isLogged && { logDecisions }),
    })
    return policy.status().lastError
  }
  t.match(
    await problemOf([], true),
    /a rule system\/log\/mask that is no entrypoint.*expected the entrypoint system\/log\/mask \(opa build -e/,
  )
  t.equal(await problemOf(['system/log/mask'], true), undefined)
  t.equal(await problemOf([], false), undefined)
})
