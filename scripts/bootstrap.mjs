// Runs on any Node >= 20 of a fresh clone: brings the dependencies (Node 24 among them), then hands over to it.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const bin = join(root, 'node_modules', '.bin')

const verbs = {
  demo: [['node', 'demo/demo.ts']],
  test: [['node', 'scripts/test.ts']],
  'test:unit': [['node', 'scripts/test.ts', '--unit']],
  'test:h2spec': [['node', 'scripts/test.ts', 'test/grpc/h2spec.e2e.test.ts']],
  check: [
    ['tsc', '-p', '.'],
    ['biome', 'check', '--error-on-warnings', '.'],
  ],
  bench: [['node', 'bench/bench.ts']],
  conformance: [['node', 'scripts/conformance.ts']],
  proto: [['node', 'scripts/proto.ts']],
  docs: [['node', 'scripts/docs.ts']],
  policies: [['node', 'scripts/policies.ts']],
}

installDependencies()
const [verb, ...rest] = process.argv.slice(2)
const commands = verbs[verb]
if (commands === undefined) fail(`unknown verb ${verb}; expected one of ${Object.keys(verbs).join(', ')}`)
for (const [index, [program, ...args]] of commands.entries()) {
  const isLast = index === commands.length - 1
  const status = run(program === 'node' ? node24() : join(bin, program), isLast ? [...args, ...rest] : args)
  if (status !== 0) process.exit(status)
}

/**
 * Installs what the lock file says, without touching it, when something else is installed. `npm ci` would refuse a lock
 * file that lacks optional binaries of other platforms, and registries that mirror only some platforms make such files.
 */
function installDependencies() {
  const wanted = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex')
  const marker = join(root, 'node_modules', '.sluice-lock')
  if (existsSync(marker) && readFileSync(marker, 'utf8') === wanted) return
  process.stderr.write('Installing npm packages (once) …\n')
  const npm = process.env.npm_execpath
  const args = ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']
  const status = npm === undefined ? run('npm', args, 2) : run(process.execPath, [npm, ...args], 2)
  if (status !== 0) fail('npm install failed; see above')
  // The test runner keeps what it built from its plugins beside the tests; that of another installation does not fit.
  rmSync(join(root, '.tap'), { recursive: true, force: true })
  if (run(join(bin, 'tap'), ['build'], 2) !== 0) fail('tap build failed; see above')
  writeFileSync(marker, wanted)
}

/** The Node 24 that npm brought, or the one that runs this where the platform has no such package. */
function node24() {
  const brought = join(bin, 'node')
  if (existsSync(brought)) return brought
  if (Number(process.versions.node.split('.')[0]) >= 24) return process.execPath
  fail(`no packaged Node 24 for ${process.platform}-${process.arch}: install Node 24 and run again`)
}

function run(program, args, stdout = 'inherit') {
  const result = spawnSync(program, args, {
    cwd: root,
    stdio: ['inherit', stdout, 'inherit'],
    env: { ...process.env, PATH: `${bin}:${process.env.PATH}` },
  })
  if (result.error) fail(`${program}: ${result.error.message}`)
  return result.status ?? 1
}

function fail(text) {
  process.stderr.write(`${text}\n`)
  process.exit(1)
}
