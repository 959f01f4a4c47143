/** Runs what nobody waits for, one piece after each turn of the event loop; what comes while it is full is dropped. */
export interface ShadowQueue {
  /** False when it was dropped. */
  offer(run: () => void | Promise<void>): boolean
}

/** More would be a backlog that never ends: live requests come first. */
const maxWaiting = 256

export function createShadowQueue(
  options: {
    readonly maxWaiting?: number
    /** Told of what a piece threw; the others run all the same. */
    readonly onFailure?: (cause: unknown) => void
    readonly defer?: (run: () => void) => void
  } = {},
): ShadowQueue {
  const { onFailure = () => {}, defer = (run) => void setImmediate(run) } = options
  const waiting: (() => void | Promise<void>)[] = []
  let isRunning = false

  async function next(): Promise<void> {
    const run = waiting.shift()
    if (run === undefined) {
      isRunning = false
      return
    }
    try {
      await run()
    } catch (cause) {
      onFailure(cause)
    }
    defer(() => void next())
  }

  return {
    offer: (run) => {
      if (waiting.length >= (options.maxWaiting ?? maxWaiting)) return false
      waiting.push(run)
      if (!isRunning) {
        isRunning = true
        defer(() => void next())
      }
      return true
    },
  }
}
