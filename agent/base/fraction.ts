/** Of two whole numbers, of which the denominator is positive. */
export interface Fraction {
  readonly numerator: bigint
  readonly denominator: bigint
}

/**
 * The largest fraction that is not above `numerator / denominator` and whose denominator is at most `maxDenominator`.
 *
 * @see the Stern-Brocot tree, of which each turn is walked in one step
 */
export function largestBelow(numerator: bigint, denominator: bigint, maxDenominator: bigint): Fraction {
  let [belowNumerator, belowDenominator] = [0n, 1n]
  let [aboveNumerator, aboveDenominator] = [1n, 0n]
  for (;;) {
    const gapAbove = aboveNumerator * denominator - numerator * aboveDenominator
    let turns = (numerator * belowDenominator - belowNumerator * denominator) / gapAbove
    if (aboveDenominator > 0n) turns = least(turns, (maxDenominator - belowDenominator) / aboveDenominator)
    belowNumerator += turns * aboveNumerator
    belowDenominator += turns * aboveDenominator

    const gapBelow = numerator * belowDenominator - belowNumerator * denominator
    if (gapBelow === 0n || aboveDenominator + belowDenominator > maxDenominator) break
    // Stays above: at the fraction itself it would have nothing between it and the lower one.
    turns = least((gapAbove - 1n) / gapBelow, (maxDenominator - aboveDenominator) / belowDenominator)
    aboveNumerator += turns * belowNumerator
    aboveDenominator += turns * belowDenominator
    if (aboveDenominator + belowDenominator > maxDenominator) break
  }
  return { numerator: belowNumerator, denominator: belowDenominator }
}

function least(one: bigint, other: bigint): bigint {
  return one < other ? one : other
}
