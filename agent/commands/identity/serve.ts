import { Command, Option } from 'commander'
import { messageOf } from '#base/errors.ts'
import { startWorkloadApi } from '#identity/workload-api/workload-api.ts'
import { collected } from '../collected.ts'
import { orFail } from '../fail.ts'
import { firstSignal } from '../signals.ts'
import { optionInvalid, readSeconds } from './seconds.ts'

export function identityServeCommand(): Command {
  return new Command('serve')
    .description('Serve the SPIFFE Workload API from a development CA. Never use it in production.')
    .requiredOption('--ca <dir>', 'the directory of the CA; made when it is empty')
    .requiredOption('--trust-domain <name>', 'the SPIFFE trust domain of the CA')
    .requiredOption('--spiffe-id <id>', 'what everybody on the socket is; may be repeated', collected)
    .requiredOption('--socket <uri>', 'where to listen, unix:///path')
    .addOption(
      new Option('--mode <mode>', 'who may open the socket: its owner, or the group too')
        .choices(['0600', '0660'])
        .default('0600'),
    )
    .option('--ttl <seconds>', 'how long an identity is valid', '3600')
    .option('--profile <profile>', 'standard or production', 'standard')
    .action(
      orFail(async (options: ServeOptions) => {
        const ttlSeconds = readSeconds('--ttl', options.ttl, ttlBounds)
        refuseProduction(options.profile)
        await using _api = await startWorkloadApi({
          dir: options.ca,
          trustDomain: options.trustDomain,
          identities: options.spiffeId.map((spiffeId) => ({ spiffeId })),
          socket: options.socket,
          socketMode: options.mode === '0660' ? 0o660 : 0o600,
          ttlSeconds,
          onHandlerFault: (cause) => process.stderr.write(`sluice: ${messageOf(cause)}\n`),
        })
        process.stdout.write(
          [
            'DEVELOPMENT Workload API: it asks nobody who they are. Never use it in production.',
            `Whoever opens ${options.socket} (mode ${options.mode}) is:`,
            ...options.spiffeId.map((id) => `  ${id}`),
            `SPIFFE_ENDPOINT_SOCKET=${options.socket}`,
            '',
          ].join('\n'),
        )
        await firstSignal(['SIGTERM', 'SIGINT'])
      }),
    )
}

interface ServeOptions {
  readonly ca: string
  readonly trustDomain: string
  readonly spiffeId: readonly string[]
  readonly socket: string
  readonly mode: '0600' | '0660'
  readonly ttl: string
  readonly profile: string
}

const ttlBounds = { least: 60, most: 86_400 }

/** Whoever set the profile of all their agents must not get this by mistake. */
function refuseProduction(profile: string): void {
  if (profile === 'standard') return
  const expected = 'standard: a development CA has no place elsewhere; use SPIRE'
  throw optionInvalid('--profile', JSON.stringify(profile), expected)
}
