import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { parse, stringify } from 'yaml'
import { messageOf, SluiceError } from '#base/errors.ts'
import { loadConfig } from '#config/config.ts'
import { envoyConfig } from '#envoy/bootstrap/bootstrap.ts'
import { orFail } from './fail.ts'

export function envoyCommand(): Command {
  const envoy = new Command('envoy').description('Configure the Envoy beside the agent.')
  envoy
    .command('config')
    .description('Print the Envoy configuration that fits this agent.')
    .requiredOption('-c, --config <file>', 'the configuration, sluice.yaml')
    .option('--json', 'print JSON instead of YAML')
    .action(
      orFail(async (options: { readonly config: string; readonly json?: true }) => {
        const generated = envoyConfig(loadConfig(options.config))
        process.stdout.write(options.json ? `${JSON.stringify(generated, null, 2)}\n` : stringify(generated))
      }),
    )
  return envoy
}

/** Reads an Envoy configuration or config dump, YAML or JSON. */
export function readEnvoyFile(path: string): unknown {
  try {
    return parse(readFileSync(path, 'utf8'), { maxAliasCount: 0 })
  } catch (cause) {
    throw new SluiceError({
      code: 'envoy_config_unreadable',
      place: path,
      found: messageOf(cause),
      expected: 'an Envoy configuration in YAML or JSON',
      cause,
    })
  }
}
