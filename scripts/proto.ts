// Generates agent/gen/ from proto/. `--out DIR` writes elsewhere, for the test that compares.
import { spawnSync } from 'node:child_process'
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { parse, stringify } from 'yaml'

const { values } = parseArgs({ options: { out: { type: 'string' } } })
const root = join(import.meta.dirname, '..')
const template = parse(readFileSync(join(root, 'proto/buf.gen.yaml'), 'utf8'))
if (values.out !== undefined) template.plugins[0].out = values.out
const path = join(tmpdir(), `sluice-buf-${process.pid}.yaml`)
writeFileSync(path, stringify(template))
const buf = spawnSync(join(root, 'node_modules/.bin/buf'), ['generate', '--template', path], {
  cwd: join(root, 'proto'),
  stdio: 'inherit',
})
rmSync(path)
process.exit(buf.status ?? 1)
