import { Command } from 'commander'
import { messageOf } from '#base/errors.ts'
import { type DevCa, type Issued, openDevCa } from '#identity/dev-ca/dev-ca.ts'
import { parseSpiffeId, trustDomainFault } from '#identity/spiffe-id.ts'
import { orFail } from '../fail.ts'
import { optionInvalid, readSeconds } from './seconds.ts'

export function identityIssueCommand(): Command {
  return new Command('issue')
    .description('Issue a certificate from a development CA. Never use it in production.')
    .requiredOption('--ca <dir>', 'the directory of the CA; made when it is empty')
    .requiredOption('--trust-domain <name>', 'the SPIFFE trust domain of the CA')
    .requiredOption('--spiffe-id <id>', 'whom the certificate is for')
    .requiredOption('--out <prefix>', 'writes <prefix>.pem and <prefix>.key')
    .option('--ttl <seconds>', 'how long it is valid', '3600')
    .action(
      orFail(async ({ ca: dir, out, spiffeId, trustDomain, ttl }: IssueOptions) => {
        const ttlSeconds = readSeconds('--ttl', ttl, ttlBounds)
        checkIdentity(spiffeId, trustDomain)
        if (/(^|\/)$/.test(out))
          throw optionInvalid('--out', JSON.stringify(out), 'a path and how the names begin')
        const ca = openDevCa(dir, { trustDomain })
        write(ca, out, ca.issue({ spiffeId, ttlSeconds }))
        process.stdout.write(`${out}.pem ${out}.key\n`)
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

/** The CA itself lives for a year. */
const ttlBounds = { least: 1, most: 31_536_000 }

function checkIdentity(spiffeId: string, trustDomain: string): void {
  const fault = trustDomainFault(trustDomain)
  if (fault !== undefined)
    throw optionInvalid(
      '--trust-domain',
      `${JSON.stringify(trustDomain)}: ${fault}`,
      'a name such as example.org',
    )
  const parsed = parseSpiffeId(spiffeId)
  const why = parsed.ok
    ? parsed.id.trustDomain === trustDomain
      ? undefined
      : 'of another trust domain'
    : parsed.why
  if (why !== undefined)
    throw optionInvalid('--spiffe-id', `${JSON.stringify(spiffeId)}: ${why}`, `spiffe://${trustDomain}/…`)
}

function write(ca: DevCa, prefix: string, issued: Issued): void {
  try {
    ca.write(prefix, issued)
  } catch (thrown) {
    throw optionInvalid(
      '--out',
      `${JSON.stringify(prefix)}: ${messageOf(thrown)}`,
      'a path that can be written',
    )
  }
}
