import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { messageOf, SluiceError } from '#base/errors.ts'
import { tenantFault } from '#identity/identity.ts'
import { readCalls, type Simulation, simulate } from '#limits/simulate/simulate.ts'
import { readOnce } from '#resources/resources.ts'
import { orFail } from '../fail.ts'
import { printJson, printLines } from '../report.ts'
import { columns } from './options.ts'

interface SimulateOptions {
  readonly resources: string
  readonly json?: true
  readonly fail?: true
}

export function quotaSimulateCommand(): Command {
  return new Command('simulate')
    .description('Play calls of the past, or of a plan, against quotas: what they would have refused.')
    .requiredOption('-r, --resources <dir>', 'the directory with the QuotaPolicies')
    .argument(
      '<file...>',
      'JSON lines with time, tenant, model, usage …: an audit record, or written by hand; - for standard input',
    )
    .option('--json', 'print JSON')
    .option('--fail', 'exit with 1 where a call would have been refused')
    .action(
      orFail(async (files: string[], options: SimulateOptions) => {
        const resources = readOnce(options.resources, { tenantFault })
        const calls = files.flatMap((file) => readCalls(textOf(file), file))
        const simulation = simulate(resources, calls)
        if (options.json) printJson(simulation)
        else printLines(lines(simulation))
        if (options.fail && simulation.refused > 0) process.exitCode = 1
      }),
    )
}

function textOf(file: string): string {
  try {
    return readFileSync(file === '-' ? 0 : file, 'utf8')
  } catch (cause) {
    throw new SluiceError({
      code: 'file_missing',
      place: file,
      found: messageOf(cause),
      expected: 'a file',
      cause,
    })
  }
}

function lines({ calls, refused, limits }: Simulation): string[] {
  const head = ['LIMIT', 'UNIT', 'MODE', 'CALLS', 'PASSED', 'OVER', 'CHARGED', 'FIRST OVER', 'WHOSE']
  const rows = limits.map((each) => [
    each.limit,
    each.unit,
    each.mode,
    String(each.calls),
    String(each.granted),
    String(each.over),
    String(each.charged),
    each.firstOver ?? '-',
    each.tenants.map(({ tenant, over }) => `${tenant === '' ? '(none)' : tenant} ${over}`).join(', '),
  ])
  return [`${calls} calls, ${refused} refused`, ...columns([head, ...rows])]
}
