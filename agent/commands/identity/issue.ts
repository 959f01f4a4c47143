import { Command } from 'commander'
import { openDevCa } from '#identity/dev-ca/dev-ca.ts'
import { orFail } from '../fail.ts'

export function identityIssueCommand(): Command {
  return new Command('issue')
    .description('Issue a certificate from a development CA. Never use it in production.')
    .requiredOption('--ca <dir>', 'the directory of the CA; made when it is empty')
    .requiredOption('--trust-domain <name>', 'the SPIFFE trust domain of the CA')
    .requiredOption('--spiffe-id <id>', 'whom the certificate is for')
    .requiredOption('--out <prefix>', 'writes <prefix>.pem and <prefix>.key')
    .option('--ttl <seconds>', 'how long it is valid', '3600')
    .action(
      orFail(async (options: IssueOptions) => {
        const ca = openDevCa(options.ca, { trustDomain: options.trustDomain })
        const issued = ca.issue({ spiffeId: options.spiffeId, ttlSeconds: Number(options.ttl) })
        ca.write(options.out, issued)
        process.stdout.write(`${options.out}.pem ${options.out}.key\n`)
      }),
    )
}

interface IssueOptions {
  readonly ca: string
  readonly trustDomain: string
  readonly spiffeId: string
  readonly out: string
  readonly ttl: string
}
