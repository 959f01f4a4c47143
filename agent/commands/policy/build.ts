import { writeFileSync } from 'node:fs'
import { Command, Option } from 'commander'
import { messageOf, SluiceError } from '#base/errors.ts'
import { buildPolicy, type Target } from '#policy/authoring/build/build.ts'
import { opaAt } from '#policy/authoring/opa/opa.ts'
import { orFail } from '../fail.ts'
import { printLines, sizeText } from '../report.ts'
import { collect } from './options.ts'

interface BuildOptions {
  readonly output: string
  readonly entrypoint?: string[]
  readonly revision?: string
  readonly target: Target
  readonly signingKey?: string
  readonly signingAlg: string
  readonly signingId: string
  readonly scope?: string
  readonly ignore?: string[]
  readonly capabilities?: string
  readonly schema?: string
  readonly check: boolean
  readonly opa?: string
}

export function buildCommand(): Command {
  return new Command('build')
    .description('Check Rego against the schema of the input and build a bundle that the agent can run.')
    .argument('<path...>', 'folders or files of Rego and data; tests are left out')
    .option('-o, --output <file>', 'where to write it', 'bundle.tar.gz')
    .option('-e, --entrypoint <path>', 'a decision beside those that are marked; may be repeated', collect)
    .option('-r, --revision <text>', 'the revision that decisions are logged with')
    .addOption(
      new Option('-t, --target <target>', 'what to compile to')
        .choices(['wasm', 'plan', 'both'])
        .default('wasm'),
    )
    .option('--signing-key <file>', 'PEM of the private key to sign with, or the secret for HS')
    .option('--signing-alg <algorithm>', 'what to sign with', 'RS256')
    .option('--signing-id <id>', 'the name of the key, as agents know it', 'default')
    .option('--scope <scope>', 'what the signature is for')
    .option('--ignore <glob>', 'names of files and folders to pass over; may be repeated', collect)
    .option('--capabilities <file>', "another list of builtins than the agent's own")
    .option('--schema <file>', "another JSON Schema of the input than the agent's own")
    .option('--no-check', 'leave out `opa check --strict`')
    .option('--opa <file>', 'the `opa` to call, if not the one on PATH')
    .action(
      orFail(async (paths: string[], options: BuildOptions) => {
        const { signingKey, signingAlg, signingId, scope, capabilities, schema } = options
        const { bytes, entrypoints } = await buildPolicy({
          paths,
          opa: opaAt(options.opa),
          target: options.target,
          isChecked: options.check,
          ...(options.entrypoint && { entrypoints: options.entrypoint }),
          ...(options.revision !== undefined && { revision: options.revision }),
          ...(options.ignore && { ignore: options.ignore }),
          ...(capabilities !== undefined && { capabilities }),
          ...(schema !== undefined && { schema }),
          ...(signingKey !== undefined && {
            signing: { key: signingKey, algorithm: signingAlg, keyId: signingId, scope },
          }),
        })
        write(options.output, bytes)
        printLines([`${options.output}: ${sizeText(bytes.length)}, decides ${entrypoints.join(', ')}`])
      }),
    )
}

function write(path: string, bytes: Buffer): void {
  try {
    writeFileSync(path, bytes)
  } catch (cause) {
    throw new SluiceError({
      code: 'file_unwritable',
      place: path,
      found: messageOf(cause),
      expected: 'a file that can be written',
      cause,
    })
  }
}
