/** Lets so many steps pass as a test has allowed, and has the others wait. */
export interface Gate {
  /** Resolves once the step with this number may be taken. */
  pass(index: number): Promise<undefined>
  /** Allows every step below `count`. */
  open(count: number): void
}

export function createGate(): Gate {
  let allowed = 0
  const waiting = new Map<number, () => void>()
  return {
    pass: (index) =>
      new Promise((resolve) => {
        if (index < allowed) resolve(undefined)
        else waiting.set(index, () => resolve(undefined))
      }),
    open: (count) => {
      allowed = count
      for (const [index, step] of waiting) {
        if (index >= allowed) continue
        waiting.delete(index)
        step()
      }
    },
  }
}
