import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { cached } from './cache.ts'
import { run } from './run.ts'

const peers = join(import.meta.dirname, '..', 'peers')

/** What is built from each module under `test/peers/`. */
const packages = {
  opa: 'github.com/open-policy-agent/opa',
  'opa-envoy-plugin': 'github.com/open-policy-agent/opa-envoy-plugin/cmd/opa-envoy-plugin',
  conformance: '.',
  descriptors: '.',
  grpc: '.',
  hpack: '.',
  h2spec: 'github.com/summerwind/h2spec/cmd/h2spec',
  ghz: 'github.com/bojand/ghz/cmd/ghz',
  regal: 'github.com/open-policy-agent/regal',
} as const

export type GoTool = keyof typeof packages

/** All of them. */
export const goTools = Object.keys(packages) as readonly GoTool[]

/**
 * The path of a Go program that tests compare with, built once for each state of its module.
 *
 * @throws Error when Go is missing or the build fails, with what the compiler said.
 */
export async function goTool(name: GoTool): Promise<string> {
  const module = join(peers, name)
  const folder = await cached(`go/${name}-${digest(module)}`, async (draft) => {
    await run('go', ['build', '-trimpath', '-o', join(draft, name), packages[name]], {
      cwd: module,
      env: { ...process.env, CGO_ENABLED: '0' },
    })
  })
  return join(folder, name)
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
