import type { RegoValue } from '../values/value.ts'
import type { Family } from './builtin.ts'
import { OperandError, succeeds, text } from './operands.ts'

interface SemanticVersion {
  readonly numbers: readonly bigint[]
  readonly preRelease: string
}

const identifiers = /^[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*$/

/** @see https://semver.org/spec/v2.0.0.html; a leading `v` is let pass, as OPA does. */
function parseVersion(value: RegoValue | undefined): SemanticVersion {
  const [before = '', metadata] = cut(text(value).replace(/^v/, ''), '+')
  const [core = '', preRelease] = cut(before, '-')
  const isSound =
    (metadata === undefined || identifiers.test(metadata)) &&
    (preRelease === undefined ||
      (identifiers.test(preRelease) && !/(?:^|\.)0\d+(?:\.|$)/.test(preRelease))) &&
    /^(?:0|[1-9]\d*)(?:\.(?:0|[1-9]\d*)){2}$/.test(core)
  if (!isSound) throw new OperandError('not a semantic version')
  const numbers = core.split('.').map(BigInt)
  if (numbers.some((each) => each >= 2n ** 63n))
    throw new OperandError('a number of the version is too large')
  return { numbers, preRelease: preRelease ?? '' }
}

function cut(value: string, at: string): [string, string | undefined] {
  const index = value.indexOf(at)
  return index === -1 ? [value, undefined] : [value.slice(0, index), value.slice(index + 1)]
}

function compareVersions(a: SemanticVersion, b: SemanticVersion): number {
  for (const [index, left] of a.numbers.entries()) {
    const right = b.numbers[index] as bigint
    if (left !== right) return left < right ? -1 : 1
  }
  if (a.preRelease === b.preRelease) return 0
  if (a.preRelease === '') return 1
  if (b.preRelease === '') return -1
  const [left, right] = [a.preRelease.split('.'), b.preRelease.split('.')]
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const order = compareIdentifiers(left[i] as string, right[i] as string)
    if (order !== 0) return order
  }
  return Math.sign(left.length - right.length)
}

function compareIdentifiers(a: string, b: string): number {
  const [isNumber, isOther] = [/^\d+$/.test(a), /^\d+$/.test(b)]
  if (isNumber && isOther) {
    const [left, right] = [BigInt(a), BigInt(b)]
    return left < right ? -1 : left > right ? 1 : 0
  }
  if (isNumber !== isOther) return isNumber ? -1 : 1
  return a < b ? -1 : a > b ? 1 : 0
}

/** `semver.*`, and what of the agent a policy may know (`opa.runtime`). */
export const versionBuiltins: Family = {
  'semver.is_valid': (_, value) => succeeds(() => parseVersion(value)),
  'semver.compare': (_, a, b) => compareVersions(parseVersion(a), parseVersion(b)),
  'opa.runtime': ({ runtime }) => runtime ?? {},
}
