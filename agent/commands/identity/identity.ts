import { Command } from 'commander'
import { identityExplainCommand } from './explain.ts'
import { identityIssueCommand } from './issue.ts'
import { identityServeCommand } from './serve.ts'
import { identityShowCommand } from './show.ts'
import { identityVerifyCommand } from './verify.ts'

export function identityCommand(): Command {
  return new Command('identity')
    .description('Workload identities (X.509-SVIDs), and whom a request is from.')
    .addCommand(identityShowCommand())
    .addCommand(identityIssueCommand())
    .addCommand(identityVerifyCommand())
    .addCommand(identityExplainCommand())
    .addCommand(identityServeCommand())
}
