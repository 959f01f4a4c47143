import { isIP } from 'node:net'
import { parseTime } from '../go-time.ts'
import { octetsOf, parseUrl } from '../go-url.ts'
import { succeeds } from '../operands.ts'
import { compiledRegex } from '../regex.ts'
import { isMailAddress } from './mail-address.ts'

type Check = (value: string) => boolean

const isTimeOf =
  (...layouts: string[]): Check =>
  (value) =>
    layouts.some((layout) => succeeds(() => parseTime(layout, value)))

const isReference: Check = (value) => !value.includes('\\') && succeeds(() => parseUrl(octetsOf(value)))
const isUri: Check = (value) => isReference(value) && parseUrl(octetsOf(value)).scheme !== ''
const isAddress =
  (mark: string): Check =>
  (value) =>
    value.includes(mark) && !value.includes('%') && isIP(value) !== 0

const label = '[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?'
const hostname = new RegExp(`^${label}(?:\\.${label})*$`)

/** Each opening brace has a closing one behind it. */
const isTemplate: Check = (value) => {
  if (!isReference(value)) return false
  const { path } = parseUrl(octetsOf(value))
  let at = path.indexOf('{')
  while (at !== -1) {
    const close = path.indexOf('}', at)
    if (close === -1) return false
    at = path.indexOf('{', close)
  }
  return true
}

const checks: ReadonlyMap<string, Check> = new Map<string, Check>([
  ['date', isTimeOf('2006-01-02')],
  ['time', isTimeOf('15:04:05Z07:00', '15:04:05')],
  ['date-time', isTimeOf('15:04:05', '15:04:05Z07:00', '2006-01-02', '2006-01-02T15:04:05Z07:00')],
  ['hostname', (value) => value.length < 256 && hostname.test(value)],
  ['email', isMailAddress],
  ['idn-email', isMailAddress],
  ['ipv4', isAddress('.')],
  ['ipv6', isAddress(':')],
  ['uri', isUri],
  ['iri', isUri],
  ['uri-reference', isReference],
  ['iri-reference', isReference],
  ['uri-template', isTemplate],
  ['uuid', (value) => /^[a-f0-9]{8}-(?:[a-f0-9]{4}-){3}[a-f0-9]{12}$/i.test(value)],
  ['regex', (value) => succeeds(() => compiledRegex(value))],
  ['json-pointer', (value) => value === '' || (value.startsWith('/') && !/~(?![01])/.test(value))],
  ['relative-json-pointer', (value) => /^(?:0|[1-9]\d*)(?:#$|\/|$)/.test(value) && !/~(?![01])/.test(value)],
])

/** Whether a string is of a format; of one that nobody knows every string is. */
export function hasFormat(name: string, value: string): boolean {
  return checks.get(name)?.(value) ?? true
}
