/** Does work once, after a while; what it returns calls it off. Passed in, so that no test waits for time to pass. */
export type After = (ms: number, work: () => void) => () => void

/** Timers of the process; they do not keep it alive. */
export const systemAfter: After = (ms, work) => {
  const timer = setTimeout(work, ms).unref()
  return () => clearTimeout(timer)
}

/** The same, but the process goes on until then: for what is finished before the end. */
export const keepingAfter: After = (ms, work) => {
  const timer = setTimeout(work, ms)
  return () => clearTimeout(timer)
}
