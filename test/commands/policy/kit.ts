import { type ChildProcess, spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { delimiter, dirname, join } from 'node:path'
import { goTool } from '../../harness/go-tools.ts'
import { temporaryFolder } from '../../harness/temp.ts'

const main = join(import.meta.dirname, '..', '..', '..', 'agent', 'main.ts')
const opa = await goTool('opa')

export interface Ran {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** A folder in which a person works, with `sluice policy` at hand. */
export interface Workspace extends Disposable {
  readonly path: string
  /** Writes files and gives the path of the first one. */
  write(files: Readonly<Record<string, string | Buffer | object>>): string
  /** `sluice policy …` in this folder, with `opa` on PATH. */
  policy(...args: readonly string[]): Promise<Ran>
  /** `sluice policy build …`, for what a test stands on. @throws Error with what was said */
  build(...args: readonly string[]): Promise<void>
  /** `sluice policy …` where no `opa` is installed. */
  policyWithoutOpa(...args: readonly string[]): Promise<Ran>
}

export function workspace(files: Parameters<Workspace['write']>[0] = {}): Workspace {
  const folder = temporaryFolder()
  const write: Workspace['write'] = (more) => {
    const paths = Object.entries(more).map(([name, content]) => {
      const path = join(folder.path, name)
      mkdirSync(dirname(path), { recursive: true })
      const isText = typeof content === 'string' || Buffer.isBuffer(content)
      writeFileSync(path, isText ? content : JSON.stringify(content))
      return path
    })
    return paths[0] ?? folder.path
  }
  write(files)
  const sluice = (path: string, args: readonly string[]) =>
    ended(
      spawn(process.execPath, [main, 'policy', ...args], {
        cwd: folder.path,
        env: { ...process.env, PATH: path },
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    )
  const policy: Workspace['policy'] = (...args) =>
    sluice(`${dirname(opa)}${delimiter}${process.env['PATH']}`, args)
  return {
    path: folder.path,
    write,
    policy,
    build: async (...args) => {
      const { status, stderr } = await policy('build', ...args)
      if (status !== 0) throw new Error(`the policy does not build:\n${stderr}`)
    },
    policyWithoutOpa: (...args) => sluice(folder.path, args),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  }
}

function ended(child: ChildProcess): Promise<Ran> {
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) =>
      resolve({
        status,
        stdout: Buffer.concat(out).toString(),
        stderr: Buffer.concat(err).toString(),
      }),
    )
  })
}

/** What a run was, for a test that fails. */
export const said = ({ status, stdout, stderr }: Ran) => ({ status, stdout, stderr })

/** A policy that says who may call, with a decision for each kind of test. */
export const rego = `package envoy.authz

default allow := {"allowed": false, "http_status": 403, "body": "no"}

# METADATA
# entrypoint: true
allow := {"allowed": true, "headers": {"x-user": user}} if {
	user := input.attributes.request.http.headers["x-user"]
	user in data.users
}
`

export const data = { users: ['ann', 'bob'] }

/** The input of a request by a user. */
export const asked = (user: string) => ({
  attributes: {
    request: { http: { method: 'POST', path: '/v2/models/fraud/infer', headers: { 'x-user': user } } },
  },
  parsed_path: ['v2', 'models', 'fraud', 'infer'],
})

/** A workspace with that policy, built as `bundle.tar.gz`. */
export async function built(files: Parameters<Workspace['write']>[0] = {}): Promise<Workspace> {
  const work = workspace({ 'policy/authz.rego': rego, 'policy/data.json': data, ...files })
  await work.build('policy')
  return work
}
