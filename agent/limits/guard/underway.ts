import type { After } from '#base/timers.ts'

/** Counts answers that are still to come, so that the end can wait for them. */
export class Underway {
  #count = 0
  #onNone = () => {}

  follow<T>(answer: T | Promise<T>): T | Promise<T> {
    if (!(answer instanceof Promise)) return answer
    this.#count++
    const done = () => {
      this.#count--
      if (this.#count === 0) this.#onNone()
    }
    answer.then(done, done)
    return answer
  }

  /** Resolves once nothing is on its way, nor what came of it, or after so long. */
  async none(deadlineMs: number, after: After): Promise<void> {
    let isOver = false
    let onOver = () => {}
    const stop = after(deadlineMs, () => {
      isOver = true
      onOver()
    })
    while (this.#count > 0 && !isOver) {
      await new Promise<void>((resolve) => {
        this.#onNone = resolve
        onOver = resolve
      })
      // Who was answered may ask for more.
      await new Promise<void>((resolve) => setImmediate(resolve))
    }
    stop()
  }
}
