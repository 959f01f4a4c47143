/** How long to wait before the next attempt, as go-spiffe does: one second more each time, up to thirty. */
export interface BackOff {
  nextMs(): number
  /** After anything good. */
  reset(): void
  /** After something good was taken back: look a few times soon whether that was meant. */
  hurry(): void
}

const stepMs = 1000
const mostMs = 30_000
const soonMs = [100, 200, 400, 800]

export function linearBackOff(): BackOff {
  let attempts = 0
  let soon: readonly number[] = []
  return {
    nextMs: () => {
      const [first, ...others] = soon
      soon = others
      return first ?? Math.min(++attempts * stepMs, mostMs)
    },
    reset: () => {
      attempts = 0
      soon = []
    },
    hurry: () => {
      soon = soonMs
    },
  }
}
