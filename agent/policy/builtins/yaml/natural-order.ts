/** go-yaml's order of keys: letters before what is none, and numbers inside by their value, `a9` before `a10`. */
export function naturalOrder(a: string, b: string): number {
  if (a === b) return 0
  return isLess([...a], [...b]) ? -1 : 1
}

const isDigit = (rune: string | undefined) => rune !== undefined && /\p{Nd}/u.test(rune)
const isLetter = (rune: string) => /\p{L}/u.test(rune)
const codeOf = (rune: string) => rune.codePointAt(0) as number

function isLess(a: readonly string[], b: readonly string[]): boolean {
  let areDigits = false
  for (let i = 0; i < a.length && i < b.length; i++) {
    const [left, right] = [a[i] as string, b[i] as string]
    if (left === right) {
      areDigits = isDigit(left)
      continue
    }
    const [isLeftLetter, isRightLetter] = [isLetter(left), isLetter(right)]
    if (isLeftLetter && isRightLetter) return codeOf(left) < codeOf(right)
    if (isLeftLetter || isRightLetter) return areDigits ? isLeftLetter : isRightLetter
    // A zero after other digits counts as one: 10 stands behind 1, and 100 behind 10.
    const start = (left === '0' || right === '0') && isAfterDigits(a, i) ? 1n : 0n
    const [first, second] = [numberFrom(a, i, start), numberFrom(b, i, start)]
    if (first.value !== second.value) return first.value < second.value
    if (first.end !== second.end) return first.end < second.end
    return codeOf(left) < codeOf(right)
  }
  return a.length < b.length
}

/** Whether digits of which one is not zero stand right before. */
function isAfterDigits(runes: readonly string[], at: number): boolean {
  for (let i = at - 1; i >= 0 && isDigit(runes[i]); i--) {
    if (runes[i] !== '0') return true
  }
  return false
}

function numberFrom(runes: readonly string[], at: number, start: bigint): { value: bigint; end: number } {
  let [value, end] = [start, at]
  while (isDigit(runes[end])) {
    // Go's 64 bits overflow, and so does this.
    value = BigInt.asIntN(64, value * 10n + BigInt(codeOf(runes[end] as string) - 0x30))
    end++
  }
  return { value, end }
}
