import { Command } from 'commander'
import { quotaGrantCommand, quotaResetCommand } from './change.ts'
import { quotaExplainCommand } from './explain.ts'
import { quotaShowCommand } from './show.ts'
import { quotaSimulateCommand } from './simulate.ts'

export function quotaCommand(): Command {
  return new Command('quota')
    .description('How much tenants have used, and why a call is refused; asks a running agent.')
    .addCommand(quotaShowCommand())
    .addCommand(quotaExplainCommand())
    .addCommand(quotaGrantCommand())
    .addCommand(quotaResetCommand())
    .addCommand(quotaSimulateCommand())
}
