import { Command } from 'commander'
import { agentCommand } from './agent.ts'
import { checkCommand } from './check.ts'
import { envoyCommand } from './envoy.ts'
import { identityCommand } from './identity/identity.ts'
import { policyCommand } from './policy/policy.ts'
import { quotaCommand } from './quota/quota.ts'
import { ownVersion } from './version.ts'

/** Every CLI verb, one file each. */
export function program(): Command {
  return new Command('sluice')
    .description('Policy agent beside Envoy in front of model servers.')
    .version(ownVersion())
    .addCommand(agentCommand())
    .addCommand(checkCommand())
    .addCommand(envoyCommand())
    .addCommand(identityCommand())
    .addCommand(policyCommand())
    .addCommand(quotaCommand())
}
