import { execFile } from 'node:child_process'
import { resolve as absolute } from 'node:path'
import { SluiceError } from '#base/errors.ts'

/** The `opa` command line: compiler, type checker and reference, which we call and never replace. */
export interface Opa {
  /**
   * Runs it to its end.
   *
   * @returns what it printed.
   * @throws SluiceError `opa_missing` where there is none; `opa_failed` with what it said, and `expected` as the advice.
   */
  run(
    args: readonly string[],
    options: { readonly cwd?: string; readonly expected: string },
  ): Promise<{ readonly stdout: string; readonly stderr: string }>
}

const maxOutputBytes = 256 << 20

/** @param program the path of `opa`; a bare name is looked for on PATH. */
export function opaAt(program = 'opa'): Opa {
  // It is started in other folders than ours.
  const path = program.includes('/') ? absolute(program) : program
  return {
    run: (args, { cwd, expected }) =>
      new Promise((resolve, reject) => {
        const options = {
          maxBuffer: maxOutputBytes,
          encoding: 'utf8',
          ...(cwd !== undefined && { cwd }),
        } as const
        execFile(path, args, options, (failure, stdout, stderr) => {
          if (failure === null) return resolve({ stdout, stderr })
          reject(
            isMissing(failure)
              ? new SluiceError({
                  code: 'opa_missing',
                  place: program,
                  found: 'no such program',
                  expected:
                    'the `opa` command line: install OPA 1.x (https://www.openpolicyagent.org/docs#1-download-opa), or name it with --opa FILE',
                  cause: failure,
                })
              : new SluiceError({
                  code: 'opa_failed',
                  place: `opa ${args[0] ?? ''}`,
                  found: `it says\n${(stderr.trim() || stdout.trim() || failure.message).trim()}`,
                  expected,
                  cause: failure,
                }),
          )
        })
      }),
  }
}

function isMissing(failure: Error): boolean {
  const { code } = failure as NodeJS.ErrnoException
  return code === 'ENOENT' || code === 'EACCES'
}
