/** How long to wait before the next attempt, as go-spiffe does: one second more each time, up to thirty. */
export interface BackOff {
  nextMs(): number
  /** After anything good. */
  reset(): void
}

const stepMs = 1000
const mostMs = 30_000

export function linearBackOff(): BackOff {
  let attempts = 0
  return {
    nextMs: () => Math.min(++attempts * stepMs, mostMs),
    reset: () => {
      attempts = 0
    },
  }
}
