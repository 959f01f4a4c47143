import { Command } from 'commander'
import { SluiceError } from '#base/errors.ts'
import { loadConfig } from '#config/config.ts'
import { spiffeBundleText } from '#identity/bundle/bundle.ts'
import type { IdentitySource, IdentityState } from '#identity/source/source.ts'
import { orFail } from '../fail.ts'
import { readWaitMs } from './seconds.ts'
import { firstState, openSource } from './source.ts'

interface ShowOptions {
  readonly config: string
  readonly bundle?: string
  readonly wait: string
}

export function identityShowCommand(): Command {
  return new Command('show')
    .description('Say who we are and whose bundles are known, from the source that the configuration names.')
    .requiredOption('-c, --config <file>', 'the configuration, sluice.yaml')
    .option('--bundle <trust domain>', 'print its bundle instead, as SPIFFE writes it (JWKS)')
    .option('--wait <seconds>', 'how long to wait for the source', '5')
    .action(
      orFail(async ({ config, bundle, wait }: ShowOptions) => {
        const waitMs = readWaitMs(wait)
        await using source = await openSource(loadConfig(config).identity)
        if (source === undefined) throw nothing(config, 'no identity.source', 'one of spire, files and dev')
        const state = await firstState(source, waitMs)
        if (state === undefined)
          throw nothing('identity.source', source.problem() ?? 'no answer', 'an identity')
        process.stdout.write(bundle === undefined ? summary(state, source) : bundleText(state, bundle))
      }),
    )
}

const nothing = (place: string, found: string, expected: string) =>
  new SluiceError({ code: 'identity_missing', place, found, expected })

function summary({ svids, bundles }: IdentityState, source: IdentitySource): string {
  const time = (ms: number | undefined) => new Date(ms ?? 0).toISOString()
  const problem = source.problem()
  return [
    ...svids.map(
      ({ id, chain }) => `${id.text}  until ${time(chain[0]?.notAfterMs)}  serial ${chain[0]?.serial}\n`,
    ),
    ...[...bundles.values()].map(
      ({ trustDomain, x509Authorities, jwtAuthorities, sequence }) =>
        `bundle ${trustDomain}  ${x509Authorities.length} CA certificates  ${jwtAuthorities.length} JWT keys` +
        `${sequence === undefined ? '' : `  sequence ${sequence}`}\n`,
    ),
    ...(problem === undefined ? [] : [`problem ${problem}\n`]),
  ].join('')
}

function bundleText({ bundles }: IdentityState, trustDomain: string): string {
  const bundle = bundles.get(trustDomain)
  if (bundle !== undefined) return `${spiffeBundleText(bundle)}\n`
  throw nothing('--bundle', trustDomain, `one of ${[...bundles.keys()].join(', ')}`)
}
