import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { messageOf, SluiceError } from '#base/errors.ts'
import { unpackBundle } from '../../bundle/bundle.ts'
import { signaturesMember } from '../../bundle/signature/signature.ts'
import { writeTar } from '../../bundle/tar.ts'
import type { Opa } from '../opa/opa.ts'
import { findEntrypoints } from './entrypoints.ts'
import { findSources, mergeData, type SourceFile, type Sources } from './sources.ts'

const shipped = (path: string) => fileURLToPath(new URL(`../../../../policies/${path}`, import.meta.url))

/** What the agent can run: given to every `opa build`. */
const capabilitiesFile = shipped('capabilities.json')
/** The JSON Schema of `input`: given to every `opa check`. */
const inputSchemaFile = shipped('schemas/input.json')

export type Target = 'wasm' | 'plan' | 'both'

export interface Signing {
  /** PEM file of the private key, or the secret for HS. */
  readonly key: string
  readonly algorithm: string
  readonly keyId: string
  readonly scope?: string | undefined
}

/** A finished bundle. */
export interface Built {
  readonly bytes: Buffer
  readonly entrypoints: readonly string[]
}

/**
 * Builds a bundle with `opa build`, after `opa check --strict` against the schema of the input. The same sources give the
 * same bytes, wherever they lie, unless an algorithm that signs at random is asked for.
 *
 * @throws SluiceError with what `opa` said, at the files as they were named.
 */
export async function buildPolicy(options: {
  readonly paths: readonly string[]
  readonly opa: Opa
  /** Beside those that are marked; see `findEntrypoints`. */
  readonly entrypoints?: readonly string[]
  readonly revision?: string | undefined
  readonly target?: Target
  readonly signing?: Signing | undefined
  readonly ignore?: readonly string[]
  readonly isChecked?: boolean
  readonly capabilities?: string
  readonly schema?: string
}): Promise<Built> {
  const { opa, target = 'wasm', schema = inputSchemaFile } = options
  const capabilities = resolve(options.capabilities ?? capabilitiesFile)
  const sources = findSources(options.paths, options.ignore)
  if (options.isChecked !== false) await check(opa, sources, capabilities, schema)
  const work = mkdtempSync(join(tmpdir(), 'sluice-build-'))
  try {
    const folder = join(work, 'sources')
    stage(sources, folder)
    const entrypoints = await findEntrypoints(opa, folder, options.entrypoints ?? [])
    const compile = async (to: 'wasm' | 'plan') => {
      const out = join(work, `${to}.tar.gz`)
      const args = ['build', '--bundle', '--target', to, '--capabilities', capabilities, '--output', out]
      for (const each of entrypoints) args.push('--entrypoint', each)
      if (options.revision !== undefined) args.push('--revision', options.revision)
      await opa.run([...args, '.'], { cwd: folder, expected: 'policies that `opa build` accepts' })
      return unpackBundle(readFileSync(out), out)
    }
    const members = await compile(target === 'plan' ? 'plan' : 'wasm')
    if (target === 'both') members.set('plan.json', (await compile('plan')).get('plan.json') as Buffer)
    if (options.signing !== undefined)
      members.set(signaturesMember, await sign(opa, work, pack(members), options.signing))
    return { bytes: pack(members), entrypoints }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

/** What masks and drops events has an event for its input, and no request. */
const isAboutLogs = ({ path }: SourceFile) => /^package\s+system\.log\b/m.test(readFileSync(path, 'utf8'))

async function check(opa: Opa, { rego }: Sources, capabilities: string, schema: string): Promise<void> {
  const run = (files: readonly SourceFile[], more: readonly string[]) => {
    const args = ['check', '--strict', '--max-errors', '100', '--capabilities', capabilities, ...more]
    return opa.run([...args, ...files.map(({ path }) => path)], {
      expected:
        'Rego that `opa check --strict` accepts with the schema of the input (--no-check to build all the same)',
    })
  }
  const aboutRequests = rego.filter((file) => !isAboutLogs(file))
  if (aboutRequests.length > 0) await run(aboutRequests, ['--schema', schema])
  if (aboutRequests.length < rego.length) await run(rego, [])
}

/** Lays the sources out as one bundle folder, whatever the folders that they came from. */
function stage({ rego, data, manifest }: Sources, folder: string): void {
  const at = (member: string) => {
    const path = join(folder, member)
    mkdirSync(dirname(path), { recursive: true })
    return path
  }
  for (const { path, member } of [...rego, ...(manifest ? [manifest] : [])]) copyFileSync(path, at(member))
  for (const [member, files] of data) {
    const [only] = files
    // One alone is left to `opa`, which reads YAML and reports what is wrong with it.
    if (files.length === 1 && only !== undefined) copyFileSync(only.path, at(member))
    else writeFileSync(at(member), JSON.stringify(mergeData(files)))
  }
}

/** Sorted, and without the time of the build. OPA finds a module only under the very name that the manifest has for it. */
function pack(members: ReadonlyMap<string, Buffer>): Buffer {
  const entries = [...members].map(([path, content]) => ({ path: `/${path}`, content }))
  entries.sort((a, b) => (a.path < b.path ? -1 : 1))
  try {
    return gzipSync(writeTar(entries))
  } catch (cause) {
    throw new SluiceError({
      code: 'policy_sources_refused',
      place: 'the bundle',
      found: messageOf(cause),
      expected: 'shorter names of files and folders',
      cause,
    })
  }
}

async function sign(opa: Opa, work: string, bundle: Buffer, signing: Signing): Promise<Buffer> {
  const [unsigned, claims] = [join(work, 'unsigned.tar.gz'), join(work, 'claims.json')]
  writeFileSync(unsigned, bundle)
  const { keyId, scope } = signing
  writeFileSync(claims, JSON.stringify({ keyid: keyId, ...(scope !== undefined && { scope }) }))
  const keys = ['--signing-key', signing.key, '--signing-alg', signing.algorithm]
  await opa.run(
    ['sign', '--bundle', ...keys, '--claims-file', claims, '--output-file-path', work, unsigned],
    {
      expected: 'a private key that fits the algorithm (--signing-key, --signing-alg)',
    },
  )
  return readFileSync(join(work, signaturesMember))
}
