import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { agentCommand } from './agent.ts'
import { checkCommand } from './check.ts'
import { envoyCommand } from './envoy.ts'
import { identityCommand } from './identity.ts'
import { policyCommand } from './policy/policy.ts'

/** Every CLI verb, one file each. */
export function program(): Command {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return new Command('sluice')
    .description('Policy agent beside Envoy in front of model servers.')
    .version(version)
    .addCommand(agentCommand())
    .addCommand(checkCommand())
    .addCommand(envoyCommand())
    .addCommand(identityCommand())
    .addCommand(policyCommand())
}
