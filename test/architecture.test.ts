import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'

const agent = join(import.meta.dirname, '..', 'agent')
const files = globSync('**/*.ts', { cwd: agent, exclude: ['gen/**'] })

/** Rooms whose every file may be imported: plain types and small files that depend on little. */
const open = new Set(['base', 'crypto', 'decision', 'gen', 'telemetry'])
/** Doors that do not carry their folder's name. */
const doors = new Set([
  'console/client.ts',
  'grpc/service.ts',
  'grpc/client.ts',
  'identity/source/open.ts',
  'identity/spiffe-id.ts',
  'identity/x509/svid.ts',
  'limits/open.ts',
])
const stages = ['canonical', 'identity', 'inference', 'policy', 'limits', 'residency', 'traffic', 'audit']

/** What each room may import from; everybody may use base. */
const allowed: Readonly<Record<string, readonly string[]>> = {
  base: [],
  resources: [],
  config: [],
  grpc: [],
  crypto: [],
  decision: ['resources'],
  telemetry: ['decision'],
  console: [],
  ...Object.fromEntries(stages.map((stage) => [stage, ['crypto', 'decision', 'resources', 'telemetry']])),
  // The Workload API is SPIFFE's own, and has a client and a server there.
  identity: ['crypto', 'decision', 'resources', 'telemetry', 'grpc', 'gen'],
  envoy: [
    'crypto',
    'decision',
    'resources',
    'telemetry',
    'config',
    'grpc',
    'gen',
    'identity',
    'inference',
    'limits',
  ],
  commands: ['decision', 'resources', 'telemetry', 'config', 'envoy', 'console', ...stages],
}

interface Import {
  readonly from: string
  readonly specifier: string
}

const imports: Import[] = files.flatMap((file) => {
  const text = readFileSync(join(agent, file), 'utf8')
  return [...text.matchAll(/^(?:import|export)[^'"]*?from '([^']+)'/gms)].map(([, specifier = '']) => ({
    from: file,
    specifier,
  }))
})

t.test('arrows go one way, and only through doors', async (t) => {
  const wrong: string[] = []
  for (const { from, specifier } of imports) {
    if (!specifier.startsWith('#')) continue
    const room = from.split('/')[0] as string
    const target = specifier.slice(1)
    const parts = target.split('/')
    const [targetRoom = '', file = ''] = [parts[0], parts.at(-1)]
    if (from === 'main.ts') continue
    if (targetRoom === room) wrong.push(`${from}: imports its own room as ${specifier}`)
    else if (targetRoom !== 'base' && !allowed[room]?.includes(targetRoom))
      wrong.push(`${from}: ${room} may not know ${targetRoom}`)
    const isDoor = doors.has(target) || `${parts.at(-2)}.ts` === file
    if (!open.has(targetRoom) && !isDoor) wrong.push(`${from}: ${specifier} is no door`)
  }
  t.same(wrong, [])
  t.ok(imports.length > 100)
})

t.test('inside a room imports are relative and stay inside', async (t) => {
  const wrong = imports.filter(({ from, specifier }) => {
    if (!specifier.startsWith('.') || from === 'main.ts') return false
    const target = join(from, '..', specifier)
    return target.split('/')[0] !== from.split('/')[0]
  })
  t.same(wrong, [])
})

t.test('only envoy and the Workload API know protobuf, and only commands print or exit', async (t) => {
  for (const file of files) {
    const text = readFileSync(join(agent, file), 'utf8')
    if (!file.startsWith('envoy/') && !file.startsWith('identity/workload-api/'))
      t.notMatch(text, /@bufbuild\/protobuf|#gen\//, file)
    if (!file.startsWith('commands/')) t.notMatch(text, /console\.|process\.(exit|stdout|stderr|env)/, file)
  }
})

t.test('no file is longer than 400 lines', async (t) => {
  for (const file of files) {
    const lines = readFileSync(join(agent, file), 'utf8').split('\n').length
    t.ok(lines <= 400, `${file}: ${lines}`)
  }
})

// V8 takes such a function for a method that stays, and allocates it among what is old. Of an exchange, or of what belongs to
// one, it keeps everything through all quick collections (`setComputation` in agent/inference/inference.ts).
t.test('no function is written straight into a property of what lives for one request', async (t) => {
  for (const file of files) {
    const text = readFileSync(join(agent, file), 'utf8')
    t.notMatch(
      text,
      /^ *(?:if \(.*\) )?(?!this\.)\w+(?:\.\w+)+ =\s+(?:async )?(?:\w+|\(.*\)(?:: .*)?) =>/m,
      file,
    )
  }
})
