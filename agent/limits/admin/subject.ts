import { SluiceError } from '#base/errors.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import { noUsage, type Usage } from '#decision/usage.ts'
import type { Subject } from '../rules/rules.ts'
import { userFromText } from '../subject.ts'

const subjectNames = ['tenant', 'user', 'peer', 'model', 'version', 'route'] as const
const usageNames = Object.keys(noUsage) as (keyof Usage)[]
const maxUnits = Number.MAX_SAFE_INTEGER

/** Of whom and what is asked, from a query of known names, each once but `header`. @throws SluiceError */
export function readSubject(query: URLSearchParams): Subject {
  const subject: { -readonly [K in keyof Subject]: Subject[K] } = {}
  for (const name of subjectNames) {
    const value = readOnce(query, name)
    if (value === undefined) continue
    const meant = name === 'user' ? userFromText(value) : value
    if (meant === undefined) throw fault(name, value, 'issuer|subject')
    subject[name] = meant
  }
  const headers = new RequestHeaders()
  for (const text of query.getAll('header')) {
    const colon = text.indexOf(':')
    if (colon < 1) throw fault('header', text, 'name:value')
    headers.add(text.slice(0, colon).trim(), text.slice(colon + 1).trim())
  }
  return query.has('header') ? { ...subject, headers } : subject
}

/** What a call takes, from a query of the names of {@link Usage}; what is absent is 0, a call that says nothing is one inference. */
export function readUsage(query: URLSearchParams): Usage {
  const usage: Record<string, number> = { ...noUsage, inferences: 1 }
  for (const name of usageNames) {
    const value = readUnits(query, name)
    if (value !== undefined) usage[name] = value
  }
  return usage as unknown as Usage
}

/** A whole number of units. @throws SluiceError */
export function readUnits(query: URLSearchParams, name: string): number | undefined {
  const text = readOnce(query, name)
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d{1,16}$/.test(text) && value <= maxUnits) return value
  throw fault(name, text, `a whole number from 0 to ${maxUnits}`)
}

/** @throws SluiceError where it comes twice or is empty. */
export function readOnce(query: URLSearchParams, name: string): string | undefined {
  const values = query.getAll(name)
  if (values.length > 1) throw fault(name, `${values.length} of them`, 'one')
  const [value] = values
  if (value === '') throw fault(name, 'nothing', 'a value')
  return value
}

/** @throws SluiceError for a name that nobody reads: a misspelt one must not ask for something wider. */
export function refuseUnknown(query: URLSearchParams, more: readonly string[]): void {
  const known = new Set<string>([...subjectNames, 'header', ...more])
  for (const name of query.keys())
    if (!known.has(name)) throw fault(name, 'an unknown name', [...known].join(', '))
}

export function fault(place: string, found: string, expected: string): SluiceError {
  return new SluiceError({ code: 'quota_query_invalid', place, found, expected })
}
