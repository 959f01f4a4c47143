import type { Charge } from './store.ts'

/** Those at some indexes: of a call, the charges that are written in one place. */
export function pick<T>(list: readonly T[], indexes: readonly number[]): T[] {
  return indexes.map((index) => list[index] as T)
}

export function costsOf(charges: readonly Charge[]): number[] {
  return charges.map(({ cost }) => cost)
}

export function indexesOf(charges: readonly Charge[]): number[] {
  return charges.map((_, index) => index)
}

/** As many zeros as there are charges: what a call took that did not take place. */
export function zeros(list: readonly unknown[]): number[] {
  return list.map(() => 0)
}

/**
 * Deals out what a call really took over the places where parts of it were reserved, the first ones first; what is more
 * than all of them goes to the last.
 *
 * @returns in the order of `costs`
 */
export function dealOut(actual: number, costs: readonly number[]): number[] {
  let left = actual
  return costs.map((cost, index) => {
    const part = index === costs.length - 1 ? left : Math.min(left, cost)
    left -= part
    return part
  })
}
