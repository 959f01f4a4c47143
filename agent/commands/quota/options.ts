import type { Command } from 'commander'
import { SluiceError } from '#base/errors.ts'
import { loadConfig } from '#config/config.ts'
import { askConsole } from '#console/client.ts'
import { collected } from '../collected.ts'

/** Of whom and what is asked; names as the agent reads them. */
export interface SubjectOptions {
  readonly config?: string
  readonly admin?: string
  readonly tenant?: string
  readonly user?: string
  readonly peer?: string
  readonly model?: string
  readonly modelVersion?: string
  readonly route?: string
  readonly header?: readonly string[]
  readonly json?: true
}

/** Options, and what the agent calls them. `--version` is the program's own. */
const subjectNames = [
  ['tenant', 'tenant'],
  ['user', 'user'],
  ['peer', 'peer'],
  ['model', 'model'],
  ['modelVersion', 'version'],
  ['route', 'route'],
] as const

export function withSubjectOptions(command: Command): Command {
  return command
    .option('-c, --config <file>', 'the configuration, sluice.yaml, for its listen.admin')
    .option('--admin <socket>', 'instead: unix:/path of the admin socket')
    .option('-t, --tenant <name>', 'the tenant')
    .option('-m, --model <name>', 'the model')
    .option('--model-version <version>', "the model's version")
    .option('--user <issuer|subject>', "the token's issuer and subject")
    .option('--peer <spiffe id>', "the caller's SPIFFE ID")
    .option('--route <name>', "the name of Envoy's route")
    .option('--header <name:value>', 'a header that a limit is scoped to; may be repeated', collected)
    .option('--json', 'print JSON')
}

/** Asks the agent; `more` beside the subject. @throws SluiceError */
export function askQuota(
  verb: 'show' | 'explain' | 'grant' | 'reset',
  options: SubjectOptions,
  more: Readonly<Record<string, string | undefined>>,
): Promise<unknown> {
  const query = new URLSearchParams()
  for (const [option, name] of subjectNames) {
    const value = options[option]
    if (value !== undefined) query.set(name, value)
  }
  for (const header of options.header ?? []) query.append('header', header)
  for (const [name, value] of Object.entries(more)) if (value !== undefined) query.set(name, value)
  const method = verb === 'grant' || verb === 'reset' ? 'POST' : 'GET'
  return askConsole({ socket: socketOf(options), method, path: `/quota/${verb}`, query })
}

function socketOf({ config, admin }: SubjectOptions): string {
  const refuse = (found: string) =>
    new SluiceError({
      code: 'option_invalid',
      place: 'sluice quota',
      found,
      expected: '--config with listen.admin, or --admin unix:/path',
    })
  if ((config === undefined) === (admin === undefined))
    throw refuse(config === undefined ? 'no agent to ask' : 'both --config and --admin')
  if (admin !== undefined) {
    if (!/^unix:\/\S+$/.test(admin)) throw refuse(`--admin ${admin}`)
    return admin
  }
  const { listen } = loadConfig(config as string)
  if (listen.admin === undefined) throw refuse(`${config} without listen.admin`)
  return listen.admin
}

/** Columns as wide as what stands in them. */
export function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => (row[at] ?? '').length)))
  return rows.map((row) =>
    row
      .map((text, at) => text.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}
