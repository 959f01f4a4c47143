// Runs the tests and ends with "N passed, N failed". `--unit` leaves out what needs Envoy, Triton, Valkey or Go.
import { spawnSync } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

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
})
const { passed, failed, broken } = count(report)
rmSync(folder, { recursive: true, force: true })
const isGood = result.status === 0 && failed === 0 && passed > 0
// Once more at the end: a log that keeps only its tail must still say what broke.
for (const line of broken) process.stdout.write(`\n${line}`)
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

/** Totals of a TAP report, and the lines of the assertions that failed, each below the files and tests it is in. */
function count(path: string): {
  readonly passed: number
  readonly failed: number
  readonly broken: readonly string[]
} {
  const text = readFileSync(path, 'utf8')
  const figures = [...text.matchAll(/^# \{ total: (\d+)(?:, pass: (\d+))?(?:, fail: (\d+))?/gm)].at(-1)
  const broken = [...text.matchAll(/^ *not ok \d+(?! .*# (?:TODO|SKIP)).*$/gm)].map(([line]) => line)
  return { passed: Number(figures?.[2] ?? 0), failed: Number(figures?.[3] ?? 0), broken }
}
