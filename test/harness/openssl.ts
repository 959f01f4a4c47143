import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { temporaryFolder } from './temp.ts'

const program = 'openssl'

/** OpenSSL's command, where the machine has one: a second opinion on chains, never the only one. */
export const hasOpenssl = spawnSync(program, ['version']).status === 0

/** What `openssl verify -x509_strict` says: `ok`, or why not. */
export function opensslVerdict(chain: {
  readonly leaf: string
  readonly intermediates?: readonly string[]
  readonly roots: readonly string[]
  readonly atMs: number
}): string {
  using folder = temporaryFolder()
  const write = (name: string, pems: readonly string[]) => {
    const path = join(folder.path, name)
    writeFileSync(path, pems.join(''))
    return path
  }
  const { leaf, intermediates = [], roots, atMs } = chain
  const { status, stdout, stderr } = spawnSync(program, [
    'verify',
    '-x509_strict',
    '-no-CApath',
    '-no-CAstore',
    ...['-attime', String(Math.floor(atMs / 1000))],
    ...['-CAfile', write('roots.pem', roots)],
    ...(intermediates.length > 0 ? ['-untrusted', write('between.pem', intermediates)] : []),
    write('leaf.pem', [leaf]),
  ])
  return status === 0 ? 'ok' : `${stdout}${stderr}`.trim()
}
