import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { SluiceError } from '#base/errors.ts'
import { refusedBuiltins } from '../builtins/builtins.ts'
import { type Members, readArchive } from './archive.ts'
import type { Snapshot } from './contents.ts'

/** What `opa build -t` makes: a wasm module, or a plan. */
export type Target = 'wasm' | 'plan'

/** Makes modules or plans of the Rego of bundles that bring none. */
export interface Compiler {
  compile(
    bundles: ReadonlyMap<string, Snapshot>,
    entrypoints: {
      readonly required: readonly string[]
      /** Compiled where the bundles have them. */
      readonly optional: readonly string[]
      /** `wasm` if absent. */
      readonly target?: Target
    },
  ): Promise<Uint8Array>
  readonly settings: CompilerSettings
  /** What was compiled lately, oldest first. */
  readonly known: Map<string, Uint8Array>
}

export interface CompilerSettings {
  /** The program, looked for on the PATH. */
  readonly opa: string
  readonly timeoutMs: number
  /** Where the folders are made. */
  readonly temporary: string
}

const capabilities = fileURLToPath(new URL('../../../policies/capabilities.json', import.meta.url))
/** A poll brings new data far oftener than new Rego. */
const keptModules = 4

/**
 * Compiles with the `opa` CLI, in a process of its own and a folder that is removed whatever happens. What was compiled
 * lately is not compiled again. Data has no part in it: it is not copied, and a new value costs no compilation.
 *
 * @param known what was compiled before, perhaps by another thread.
 */
export function createCompiler(
  options: Partial<CompilerSettings> = {},
  known: ReadonlyMap<string, Uint8Array> = new Map(),
): Compiler {
  const settings = { opa: 'opa', timeoutMs: 60_000, temporary: tmpdir(), ...options }
  const kept = new Map(known)
  return {
    settings,
    known: kept,
    compile: async (bundles, { required, optional, target = 'wasm' }) => {
      const key = digest(bundles, [target, ...required, '', ...optional])
      let artefact = kept.get(key)
      kept.delete(key)
      artefact ??= await inFolder(settings.temporary, bundles, (folder) =>
        build({ ...settings, folder, names: [...bundles.keys()], required, optional, target }),
      )
      kept.set(key, artefact)
      for (const oldest of [...kept.keys()].slice(0, -keptModules)) kept.delete(oldest)
      return artefact
    },
  }
}

interface Build {
  readonly opa: string
  readonly timeoutMs: number
  readonly folder: string
  readonly names: readonly string[]
  readonly required: readonly string[]
  readonly optional: readonly string[]
  readonly target: Target
}

async function build(task: Build): Promise<Buffer> {
  const out = join(task.folder, 'out.tar.gz')
  const args = [
    ...['build', '--target', task.target, '--capabilities', capabilities, '--output', out],
    ...[...task.required, ...task.optional].flatMap((entrypoint) => ['--entrypoint', entrypoint]),
    ...['--bundle', ...task.names.map((_, index) => folderOf(index))],
  ]
  const { code, said } = await run(task, args)
  if (code === undefined) {
    const member = task.target === 'wasm' ? 'policy.wasm' : 'plan.json'
    const artefact = (await readArchive(await readFile(out), out)).get(member)
    if (artefact !== undefined) return artefact
  }
  const absent = task.optional.find((each) =>
    said.includes(`entrypoint ${JSON.stringify(each)} does not refer`),
  )
  if (absent !== undefined)
    return build({ ...task, optional: task.optional.filter((each) => each !== absent) })
  // What opa says names our folders; people know their bundles by name.
  const told = task.names.reduce(
    (text, name, index) =>
      text.replaceAll(`${folderOf(index)}/`, `${name}: `).replaceAll(folderOf(index), name),
    said,
  )
  const of = `compiling ${task.names.join(', ')}`
  if (code === 'ENOENT')
    throw new SluiceError({
      code: 'opa_missing',
      place: of,
      found: `only Rego, and no program ${task.opa} on the PATH`,
      expected: `OPA's CLI installed (https://www.openpolicyagent.org/docs#1-download-opa), or bundles made with opa build -t ${task.target} -e ${task.required.join(' -e ')}`,
    })
  throw new SluiceError({
    code: 'policy_compilation_failed',
    place: of,
    found: told.trim().slice(0, 4000) || `opa build ended with ${code}`,
    expected: [
      `Rego that opa build -t ${task.target} compiles within ${task.timeoutMs / 1000} s`,
      ...hintsFor(said),
    ].join('; '),
  })
}

/** What to do instead of calling a builtin that no policy may call. */
function hintsFor(said: string): string[] {
  return [...refusedBuiltins].flatMap(([name, hint]) =>
    said.includes(`undefined function ${name}`) ? [`instead of ${name}, ${hint}`] : [],
  )
}

/** Never rejects: what the program says is judged by who asked. `code` is absent when all went well. */
function run(
  { opa, timeoutMs, folder }: Build,
  args: readonly string[],
): Promise<{ readonly code?: string | number; readonly said: string }> {
  return new Promise((resolve) => {
    const options = { cwd: folder, timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 1 << 20 } as const
    execFile(opa, args, options, (fault, stdout, stderr) =>
      resolve(
        fault === null
          ? { said: '' }
          : { code: fault.code ?? fault.signal ?? 'a fault', said: `${stdout}${stderr}` },
      ),
    )
  })
}

async function inFolder(
  temporary: string,
  bundles: ReadonlyMap<string, Snapshot>,
  work: (folder: string) => Promise<Buffer>,
): Promise<Buffer> {
  const folder = await mkdtemp(join(temporary, 'sluice-opa-'))
  try {
    for (const [index, { manifest, rego }] of [...bundles.values()].entries()) {
      const written = {
        roots: manifest.roots,
        ...(manifest.regoVersion !== undefined && { rego_version: manifest.regoVersion }),
        ...(manifest.fileRegoVersions !== undefined && { file_rego_versions: manifest.fileRegoVersions }),
      }
      await writeAll(join(folder, folderOf(index)), rego)
      await writeFile(join(folder, folderOf(index), '.manifest'), JSON.stringify(written))
    }
    return await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function writeAll(folder: string, files: Members): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const [path, content] of files) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), content)
  }
}

function folderOf(index: number): string {
  // The end keeps `bundle-1` out of `bundle-10`.
  return `bundle-${index}.d`
}

function digest(bundles: ReadonlyMap<string, Snapshot>, entrypoints: readonly string[]): string {
  const hash = createHash('sha256').update(JSON.stringify(entrypoints))
  for (const [name, { manifest, rego }] of bundles) {
    const { roots, regoVersion, fileRegoVersions } = manifest
    const paths = [...rego.keys()].sort()
    hash.update(JSON.stringify([name, roots, regoVersion, fileRegoVersions, paths]))
    for (const path of paths)
      hash.update(
        createHash('sha256')
          .update(rego.get(path) ?? '')
          .digest(),
      )
  }
  return hash.digest('hex')
}
