// Runs the tests and ends with "N passed, N failed". `--unit` leaves out what needs Envoy, Triton, Valkey or Go.
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readReport } from './tap-report.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { unit: { type: 'boolean', default: false } },
})

const root = join(import.meta.dirname, '..')
const files = positionals.length > 0 ? positionals : globSync('test/**/*.test.ts', { cwd: root }).sort()
const chosen = values.unit ? files.filter((file) => !needsComponents(file)) : files
if (chosen.length === 0) {
  process.stderr.write('no tests found\n')
  process.exit(1)
}

if (!values.unit && positionals.length === 0) {
  // Before the clock of any test runs: downloads and builds take minutes on a fresh machine.
  const { prepare } = await import('../test/harness/prepare.ts')
  await prepare((text) => process.stderr.write(`${text}\n`))
}

const folder = mkdtempSync(join(tmpdir(), 'sluice-test-'))
const report = join(folder, 'report.tap')
const result = spawnSync('tap', ['--reporter=terse', `--output-file=${report}`, ...chosen], {
  cwd: root,
  stdio: ['ignore', 'inherit', 'inherit'],
  // Each file and each agent that it starts reads the same sources: their types are stripped once.
  env: { ...process.env, NODE_COMPILE_CACHE: join(folder, 'compiled') },
})
const { passed, failed, failures } = readReport(readFileSync(report, 'utf8'))
rmSync(folder, { recursive: true, force: true })
const isGood = result.status === 0 && failed === 0 && passed > 0
// Once more at the end: a log that keeps only its tail must still say what broke, and as much as it can of how.
for (const { path, diagnostics } of failures.slice(0, 50))
  process.stdout.write(`\nnot ok: ${path}\n${diagnostics.map((line) => `${line}\n`).join('')}`)
if (failures.length > 1) for (const { path } of failures) process.stdout.write(`\nnot ok: ${path}`)
// A runner that died without naming a failed assertion is a failure all the same.
// On a line of its own: the reporter leaves the cursor, and escape codes, on the one before.
process.stdout.write(`\n${passed} passed, ${isGood ? 0 : Math.max(failed, 1)} failed\n`)
process.exit(isGood ? 0 : 1)

/** Whether a test file starts real components: it imports the harness, itself or through a neighbour. */
function needsComponents(file: string): boolean {
  const text = readFileSync(join(root, file), 'utf8')
  return (
    /from '((\.\.?\/)+(harness\/|scripted-server)|\.\/(pair|in-process|caller-world)\.ts)/.test(text) ||
    file.startsWith('test/harness/')
  )
}
