import { Command } from 'commander'
import type { LimitReport } from '#limits/admin/admin.ts'
import { orFail } from '../fail.ts'
import { printJson, printLines } from '../report.ts'
import { askQuota, type SubjectOptions, withSubjectOptions } from './options.ts'
import { reportLines } from './show.ts'

interface ChangeOptions extends SubjectOptions {
  readonly limit: string
  readonly units?: string
}

export function quotaGrantCommand(): Command {
  const command = new Command('grant').description('Give units of one limit back to a tenant.')
  return changing(command, 'grant').requiredOption('-u, --units <n>', 'how many')
}

export function quotaResetCommand(): Command {
  return changing(new Command('reset').description('Forget what a tenant has used of one limit.'), 'reset')
}

function changing(command: Command, verb: 'grant' | 'reset'): Command {
  return withSubjectOptions(command)
    .requiredOption('-l, --limit <policy/limit>', 'the limit')
    .action(
      orFail(async (options: ChangeOptions) => {
        const { limit, units } = options
        const report = (await askQuota(verb, options, { limit, units })) as LimitReport
        if (options.json) printJson(report)
        else printLines(reportLines([report]))
      }),
    )
}
