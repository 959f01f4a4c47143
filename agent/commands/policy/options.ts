import { readFileSync } from 'node:fs'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { messageOf, SluiceError } from '#base/errors.ts'
import type { SignatureAlgorithm } from '#policy/bundle/signature/signature.ts'
import type { EngineChoice, Verification } from '#policy/policy.ts'

/** With which key a bundle must be signed, in `opa`'s words. */
export interface KeyOptions {
  readonly key?: string
  readonly keyId?: string
  readonly keyAlg: string
  readonly scope?: string
  readonly excludeFilesVerify?: string[]
}

export function withKeyOptions(command: Command): Command {
  return command
    .option(
      '--key <file>',
      'PEM of the public key that must have signed the bundle (for HS: the secret in a file)',
    )
    .option('--key-id <id>', 'the name that the signature must give its key')
    .option('--key-alg <algorithm>', 'what it signs with', 'RS256')
    .option('--scope <scope>', 'what the signature must be for')
    .option('--exclude-files-verify <glob>', 'a member that need not be signed; may be repeated', collect)
}

/** Which engine evaluates, as `policy.engine` has it. */
export interface EngineOptions {
  readonly engine?: EngineChoice
}

export function withEngineOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--engine <engine>',
      'what evaluates; by default what the bundle was built for, its module before its plan',
    ).choices(['wasm', 'compiled']),
  )
}

const algorithms = /^(RS|PS|ES|HS)(256|384|512)$/

/** @throws SluiceError for a key that cannot be read. */
export function verificationOf(options: KeyOptions): Verification | undefined {
  const { key: file, keyId, keyAlg, scope, excludeFilesVerify = [] } = options
  if (file === undefined) return undefined
  if (!algorithms.test(keyAlg))
    throw new SluiceError({
      code: 'option_invalid',
      place: '--key-alg',
      found: keyAlg,
      expected: 'RS, PS, ES or HS with 256, 384 or 512',
    })
  try {
    const key = readFileSync(file, 'utf8')
    // Without --key-id it may call itself what it likes: there is one key, and it must fit.
    const id = keyId ?? 'the one of --key'
    return {
      keys: new Map([
        [id, { key: keyAlg.startsWith('HS') ? key.trim() : key, algorithm: keyAlg as SignatureAlgorithm }],
      ]),
      ...(keyId === undefined && { keyId: id }),
      scope: scope ?? '',
      excludeFiles: excludeFilesVerify,
    }
  } catch (cause) {
    throw new SluiceError({
      code: 'file_unreadable',
      place: file,
      found: messageOf(cause),
      expected: 'a PEM file',
      cause,
    })
  }
}

/** For options that may be repeated. */
export function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value]
}

/** @throws InvalidArgumentError, which commander words. */
export function positiveInteger(value: string): number {
  if (!/^[1-9]\d{0,8}$/.test(value)) throw new InvalidArgumentError('A whole number from 1 on is expected.')
  return Number(value)
}
