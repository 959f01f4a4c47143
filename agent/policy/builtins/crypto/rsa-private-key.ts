import { DerReader, tags } from '#crypto/der.ts'
import { OperandError } from '../operands.ts'

export interface RsaNumbers {
  readonly n: bigint
  readonly e: bigint
  readonly d: bigint
  readonly p: bigint
  readonly q: bigint
  readonly dp: bigint
  readonly dq: bigint
  readonly qi: bigint
}

/**
 * An RSA key of two primes in PKCS #1, its numbers checked against each other as Go's `rsa.PrivateKey.Validate` does.
 *
 * @throws OperandError
 * @see RFC 8017, A.1.2
 */
export function readRsa(der: Buffer): RsaNumbers {
  const whole = new DerReader(der)
  const key = whole.inside(tags.sequence)
  if (!whole.isEmpty) throw new OperandError('something after an RSA key')
  if (key.int64() > 1n) throw new OperandError('an RSA key of another version')
  const [n, e, d, p, q] = [key.integer(), key.int64(), key.integer(), key.integer(), key.integer()]
  const [dp, dq, qi] = [0, 1, 2].map(() => (key.nextIs(tags.integer) ? key.integer() : undefined))
  if (key.optional(tags.sequence)?.isEmpty === false)
    throw new OperandError('an RSA key of more than two primes')
  const given = [n, d, p, q, dp, dq, qi]
  if (given.some((number) => number !== undefined && number <= 0n))
    throw new OperandError('an RSA key that is not positive')
  return completeRsa({ n, e, d, p, q }, { dp, dq, qi })
}

type Computed = 'dp' | 'dq' | 'qi'

/**
 * A key with the numbers that follow from the others, which are computed where one of them is not given.
 *
 * @throws OperandError where they do not belong together.
 */
export function completeRsa(
  own: Omit<RsaNumbers, Computed>,
  { dp, dq, qi }: { readonly [name in Computed]: bigint | undefined },
): RsaNumbers {
  const isComplete = dp !== undefined && dq !== undefined && qi !== undefined
  const numbers = { ...own, ...(isComplete ? { dp, dq, qi } : computed(own.d, own.p, own.q)) }
  if (!isConsistent(numbers)) throw new OperandError('an RSA key whose numbers do not belong together')
  return numbers
}

function computed(d: bigint, p: bigint, q: bigint): Pick<RsaNumbers, Computed> {
  if (p <= 1n || q <= 1n) throw new OperandError('an RSA key without primes')
  return { dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) }
}

/** Of `number` modulo `modulus`; 0, which is none, where they have a divisor in common. */
function inverse(number: bigint, modulus: bigint): bigint {
  let [low, high, left, right] = [number % modulus, modulus, 1n, 0n]
  while (low > 0n) {
    const quotient = high / low
    ;[low, high, left, right] = [high - quotient * low, low, right - quotient * left, left]
  }
  return high === 1n ? (right + modulus) % modulus : 0n
}

function isConsistent({ n, e, d, p, q, dp, dq, qi }: RsaNumbers): boolean {
  if (n % 2n === 0n || e < 2n || e % 2n === 0n || e >= 1n << 31n) return false
  if (p >= n || q >= n || p <= 2n || q <= 2n || p * q !== n) return false
  if ((e * dp) % (p - 1n) !== 1n || (e * dq) % (q - 1n) !== 1n || (qi * q) % p !== 1n) return false
  if (dp !== d % (p - 1n) || dq !== d % (q - 1n) || qi >= p) return false
  const half = Math.floor(bitLength(n) / 2)
  // Primes too near to each other are found from their product, a small exponent from the public one.
  return bitLength(p > q ? p - q : q - p) > half - 100 && bitLength(d) > half
}

function bitLength(number: bigint): number {
  return number === 0n ? 0 : number.toString(2).length
}
