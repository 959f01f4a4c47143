import { messageOf } from '#base/errors.ts'

/**
 * Runs a command's action; what a person must mend is printed once and the process ends with 1.
 * The exit code is set, not forced, so that what was written to a pipe still gets out.
 */
export function orFail<A extends unknown[]>(
  action: (...args: A) => Promise<void>,
): (...args: A) => Promise<void> {
  return async (...args) => {
    try {
      await action(...args)
    } catch (thrown) {
      process.stderr.write(`sluice: ${messageOf(thrown)}\n`)
      process.exitCode = 1
    }
  }
}
