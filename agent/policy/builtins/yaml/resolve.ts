import { integerOf } from '../../values/value.ts'
import { parseTime } from '../go-time.ts'
import { OperandError, succeeds } from '../operands.ts'

/** What a plain scalar says, by the rules of go-yaml v3: YAML 1.2, and what of 1.1 it still takes. */
export type Resolved =
  | { readonly kind: 'null' | 'string' | 'timestamp' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'integer'; readonly value: number | bigint }
  | { readonly kind: 'float'; readonly value: number }

const words: ReadonlyMap<string, Resolved> = new Map<string, Resolved>([
  ...['true', 'True', 'TRUE'].map((word) => [word, { kind: 'boolean', value: true }] as const),
  ...['false', 'False', 'FALSE'].map((word) => [word, { kind: 'boolean', value: false }] as const),
  ...['', '~', 'null', 'Null', 'NULL'].map((word) => [word, { kind: 'null' }] as const),
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, { kind: 'float', value: Number.NaN }] as const),
  ...['.inf', '.Inf', '.INF'].flatMap((word) => [
    [word, { kind: 'float', value: Number.POSITIVE_INFINITY }] as const,
    [`+${word}`, { kind: 'float', value: Number.POSITIVE_INFINITY }] as const,
    [`-${word}`, { kind: 'float', value: Number.NEGATIVE_INFINITY }] as const,
  ]),
])

const text: Resolved = { kind: 'string' }

/** @see https://github.com/yaml/go-yaml, `resolve.go` */
export function resolveScalar(written: string): Resolved {
  const word = words.get(written)
  if (word !== undefined) return word
  const first = written[0] as string
  if (first === '.') return floatOf(/^\.\d+(?:[eE][-+]?\d+)?$/, written) ?? text
  if (!/[-+\d]/.test(first)) return text
  if (isTimestamp(written)) return { kind: 'timestamp' }
  const digits = written.replaceAll('_', '')
  const value = integerOfText(digits)
  if (value !== undefined) return { kind: 'integer', value }
  return floatOf(/^[-+]?(?:\.\d+|\d+(?:\.\d*)?)(?:[eE][-+]?\d+)?$/, digits) ?? text
}

function floatOf(form: RegExp, written: string): Resolved | undefined {
  if (!form.test(written)) return undefined
  const value = Number(written)
  // Beyond a double it stays a string.
  return Number.isFinite(value) ? { kind: 'float', value } : undefined
}

/** Hexadecimal, octal (also with a bare zero in front) and binary too; of 64 bits, with or without a sign. */
function integerOfText(digits: string): number | bigint | undefined {
  const [, sign = '', prefix = '', rest = ''] =
    /^([-+]?)(0[xX](?=[\da-fA-F]+$)|0[bB](?=[01]+$)|0[oO]?(?=[0-7]+$)|(?=[1-9]\d*$|0$))([\da-fA-F]+)$/.exec(
      digits,
    ) ?? []
  if (rest === '' || rest.length > 64) return undefined
  const magnitude = BigInt(`${prefix === '0' ? '0o' : prefix.toLowerCase()}${rest}`)
  const value = sign === '-' ? -magnitude : magnitude
  const isInRange = value >= -(2n ** 63n) && value < (sign === '' ? 2n ** 64n : 2n ** 63n)
  return isInRange ? integerOf(value) : undefined
}

/** What of YAML 1.1's forms go-yaml knows. */
const timestampLayouts = [
  '2006-1-2T15:4:5.999999999Z07:00',
  '2006-1-2t15:4:5.999999999Z07:00',
  '2006-1-2 15:4:5.999999999',
  '2006-1-2',
]

function isTimestamp(written: string): boolean {
  if (!/^\d{4}-/.test(written)) return false
  return timestampLayouts.some((layout) => succeeds(() => parseTime(layout, written)))
}

/** What Go makes of a timestamp in JSON: each part with all of its digits, and the offset that was written. */
export function timestampText(written: string): string {
  const [date = '', time = ''] = written.split(/[Tt]| +/)
  const pad = (part: string) => part.padStart(2, '0')
  const [, clock = '0:0:0', fraction = '', zone = ''] = /^([\d:]+)(?:[.,](\d*))?(.*)$/.exec(time) ?? []
  const digits = fraction.slice(0, 9).replace(/0+$/, '')
  const offset = zone === '' || /^[-+]00:00$/.test(zone) ? 'Z' : zone
  const day = date.split('-').map(pad).join('-')
  return `${day}T${clock.split(':').map(pad).join(':')}${digits === '' ? '' : `.${digits}`}${offset}`
}

/** Text of `!!binary`. @throws OperandError */
export function bytesOf(written: string): Buffer {
  const bare = written.replace(/[\r\n]/g, '')
  if (!/^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?$/.test(bare))
    throw new OperandError('not base64')
  return Buffer.from(bare, 'base64')
}
