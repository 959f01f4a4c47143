import { unboundedAmount } from '#decision/usage.ts'

const capped = (amount: number): number => Math.min(amount, unboundedAmount)

/** Sum of amounts, at most `unboundedAmount`. */
export function plus(a: number, b: number): number {
  return capped(a + b)
}

/** Product of amounts, at most `unboundedAmount`. */
export function times(a: number, b: number): number {
  return capped(a * b)
}

/** A whole number of at least `least` that a double holds exactly; `undefined` for everything else. */
export function wholeAmount(value: unknown, least: number): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= least ? value : undefined
}
