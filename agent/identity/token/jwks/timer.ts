/** Calls once after a while, unless disposed of before. A test has its own, which does not wait. */
export type After = (delayMs: number, act: () => void) => Disposable

/** Keeps no process alive. */
export const systemAfter: After = (delayMs, act) => {
  const timer = setTimeout(act, delayMs).unref()
  return { [Symbol.dispose]: () => clearTimeout(timer) }
}
