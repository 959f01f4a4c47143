/** Resolves after a while, or as soon as the signal says so; keeps no process alive. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  if (signal.aborted) {
    resolve()
    return promise
  }
  const done = () => {
    clearTimeout(timer)
    signal.removeEventListener('abort', done)
    resolve()
  }
  const timer = setTimeout(done, ms).unref()
  signal.addEventListener('abort', done, { once: true })
  return promise
}
