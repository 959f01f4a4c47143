import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cached } from './cache.ts'
import { cCompiler } from './components.ts'
import { run } from './run.ts'

const peers = join(import.meta.dirname, '..', 'peers')

/** What is built, each from the module of its name under `test/peers/`. */
const packages = {
  opa: 'github.com/open-policy-agent/opa',
  'opa-envoy-plugin': 'github.com/open-policy-agent/opa-envoy-plugin/cmd/opa-envoy-plugin',
  conformance: '.',
  descriptors: '.',
  grpc: '.',
  hpack: '.',
  h2spec: 'github.com/summerwind/h2spec/cmd/h2spec',
  ghz: 'github.com/bojand/ghz/cmd/ghz',
  ratelimit: 'github.com/envoyproxy/ratelimit/src/service_cmd',
  regal: 'github.com/open-policy-agent/regal',
  'spire-agent': 'github.com/spiffe/spire/cmd/spire-agent',
  'spire-server': 'github.com/spiffe/spire/cmd/spire-server',
} as const

export type GoTool = keyof typeof packages

/** Those with a module of another name. */
const modules: Partial<Readonly<Record<GoTool, string>>> = { 'spire-agent': 'spire', 'spire-server': 'spire' }
/** SQLite, where SPIRE's server keeps what is registered, is C; its agent too, so that what they share is built once. */
const needsC: ReadonlySet<GoTool> = new Set<GoTool>(['spire-agent', 'spire-server'])

/** All of them. */
export const goTools = Object.keys(packages) as readonly GoTool[]

/**
 * The path of a Go program that tests compare with, built once for each state of its module.
 *
 * @throws Error when Go is missing or the build fails, with what the compiler said.
 */
export async function goTool(name: GoTool): Promise<string> {
  const module = join(peers, modules[name] ?? name)
  const folder = await cached(`go/${name}-${digest(module)}`, async (draft) => {
    const compiler = needsC.has(name) ? await cCompiler() : undefined
    const env = compiler === undefined ? { CGO_ENABLED: '0' } : { CGO_ENABLED: '1', CC: compiler }
    await run('go', ['build', '-trimpath', '-ldflags=-s -w', '-o', join(draft, name), packages[name]], {
      cwd: module,
      env: { ...process.env, ...env },
    })
  })
  return join(folder, name)
}

/** Where the source of a Go module lies that one of the peers is built from, in the version that it is built of. */
export async function goModuleFolder(name: GoTool, module: string): Promise<string> {
  const cwd = join(peers, modules[name] ?? name)
  const { Dir } = JSON.parse((await run('go', ['mod', 'download', '-json', module], { cwd })).toString())
  return Dir
}

function digest(module: string): string {
  const hash = createHash('sha256')
  for (const file of readdirSync(module).sort())
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(module, file)))
  return hash.digest('hex').slice(0, 16)
}
