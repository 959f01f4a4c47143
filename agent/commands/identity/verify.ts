import { Command } from 'commander'
import { SluiceError } from '#base/errors.ts'
import { loadConfig } from '#config/config.ts'
import { inspectChain, readCertificates, readTrustBundle } from '#identity/inspect/inspect.ts'
import { orFail } from '../fail.ts'
import { readWaitMs } from './seconds.ts'
import { firstState, openSource } from './source.ts'

interface VerifyOptions {
  readonly certificate: string
  readonly bundle?: string
  readonly config?: string
  readonly wait: string
}

export function identityVerifyCommand(): Command {
  return new Command('verify')
    .description("Look at a certificate as a caller's: the rules of an X509-SVID, its validity, its chain.")
    .requiredOption('--certificate <file>', 'PEM, leaf first')
    .option('--bundle <file>', 'what to verify its chain with: PEM, or a SPIFFE bundle (.json, .jwks)')
    .option('-c, --config <file>', 'instead: the bundles of the source that sluice.yaml names')
    .option('--wait <seconds>', 'how long to wait for that source', '5')
    .action(
      orFail(async (options: VerifyOptions) => {
        const findings = inspectChain(
          readCertificates(options.certificate),
          await bundlesOf(options),
          Date.now(),
        )
        for (const { isGood, what, text } of findings)
          process.stdout.write(`${isGood ? 'ok  ' : 'BAD '} ${what}: ${text}\n`)
        if (findings.some(({ isGood }) => !isGood)) process.exitCode = 1
      }),
    )
}

type BundleOf = NonNullable<Parameters<typeof inspectChain>[1]>

async function bundlesOf({ bundle, config, wait }: VerifyOptions): Promise<BundleOf | undefined> {
  const waitMs = readWaitMs(wait)
  if (bundle !== undefined && config !== undefined)
    throw new SluiceError({
      code: 'option_invalid',
      place: 'sluice identity verify',
      found: 'both --bundle and --config',
      expected: 'one of them',
    })
  if (bundle !== undefined) return (trustDomain) => readTrustBundle(trustDomain, bundle)
  if (config === undefined) return undefined
  await using source = await openSource(loadConfig(config).identity)
  const state = source && (await firstState(source, waitMs))
  if (state === undefined)
    throw new SluiceError({
      code: 'identity_missing',
      place: `${config}: identity.source`,
      found: source === undefined ? 'nothing' : (source.problem() ?? 'no answer'),
      expected: 'a source of trust bundles, or --bundle',
    })
  return (trustDomain) => state.bundles.get(trustDomain)
}
