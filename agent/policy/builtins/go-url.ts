import { isIP } from 'node:net'
import { goText } from '../values/go-text.ts'
import { escapePercent, unescapePercent } from '../values/percent.ts'
import { OperandError } from './operands.ts'

/**
 * What Go's `net/url` makes of a URL; all of them empty where they are absent. Each character of these texts is one octet,
 * as Go's strings are octets, which need not be UTF-8 behind an escape.
 */
export interface GoUrl {
  readonly scheme: string
  /** What stands behind the scheme where no slash does: `mailto:a@b`. */
  readonly opaque: string
  /** User and password, escaped; `undefined` without an `@`. */
  readonly user: string | undefined
  /** With the port, and an IPv6 address in its brackets. */
  readonly host: string
  readonly path: string
  /** The path as it was written, where writing `path` would give another text. */
  readonly rawPath: string
  readonly rawQuery: string
  readonly hasEmptyQuery: boolean
  readonly fragment: string
  readonly rawFragment: string
  /** `file:/a` has a path but no host, not even an empty one. */
  readonly isHostOmitted: boolean
}

type Part = 'path' | 'fragment' | 'host' | 'user'

const unreserved = 'A-Za-z0-9_.~\\-'
const keptIn: Readonly<Record<Part, RegExp>> = {
  path: new RegExp(`[${unreserved}$&+,/:;=@]`),
  fragment: new RegExp(`[${unreserved}!$&()*+,/:;=?@]`),
  host: new RegExp(`[${unreserved}!"$&'()*+,:;<=>[\\]]`),
  user: new RegExp(`[${unreserved}$&+,;=]`),
}

function refuse(why: string): never {
  throw new OperandError(`not a URL: ${why}`)
}

/** A text as its octets in UTF-8, each of them one character. */
export function octetsOf(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/** Octets as the text that Go shows of them. */
export function textOf(octets: string): string {
  return goText(Buffer.from(octets, 'latin1'))
}

function unescaped(octets: string): string {
  return (unescapePercent(Buffer.from(octets, 'latin1')) ?? refuse('an escape')).toString('latin1')
}

function escaped(octets: string, part: Part): string {
  return escapePercent(Buffer.from(octets, 'latin1'), keptIn[part])
}

/** @throws OperandError. @see https://pkg.go.dev/net/url#Parse */
export function parseUrl(octets: string): GoUrl {
  const [whole, written = ''] = cut(octets, '#')
  const fragment = unescaped(written)
  const rawFragment = escaped(fragment, 'fragment') === written ? '' : written
  return { ...parseWhole(whole), fragment, rawFragment }
}

const nothing: GoUrl = {
  scheme: '',
  opaque: '',
  user: undefined,
  host: '',
  path: '',
  rawPath: '',
  rawQuery: '',
  hasEmptyQuery: false,
  fragment: '',
  rawFragment: '',
  isHostOmitted: false,
}

function parseWhole(whole: string): GoUrl {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
  if (/[\u0000-\u001f\u007f]/.test(whole)) refuse('control characters')
  if (whole === '*') return { ...nothing, path: '*' }
  if (whole.startsWith(':')) refuse('no scheme before the colon')
  const written = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(whole)?.[1]
  const scheme = written?.toLowerCase() ?? ''
  const [rest = '', rawQuery] = cut(written === undefined ? whole : whole.slice(written.length + 1), '?')
  const base = { ...nothing, scheme, rawQuery: rawQuery ?? '', hasEmptyQuery: rawQuery === '' }
  if (!rest.startsWith('/')) {
    if (scheme !== '') return { ...base, opaque: rest }
    if (cut(rest, '/')[0]?.includes(':')) refuse('a colon in the first segment of a path')
  }
  if (!rest.startsWith('//') || (scheme === '' && rest.startsWith('///')))
    return { ...base, ...pathOf(rest), isHostOmitted: scheme !== '' && rest.startsWith('/') }
  const slash = rest.indexOf('/', 2)
  const authority = slash === -1 ? rest.slice(2) : rest.slice(2, slash)
  return { ...base, ...authorityOf(scheme, authority), ...pathOf(slash === -1 ? '' : rest.slice(slash)) }
}

function cut(value: string, at: string): [string, string | undefined] {
  const index = value.indexOf(at)
  return index === -1 ? [value, undefined] : [value.slice(0, index), value.slice(index + 1)]
}

function pathOf(written: string): Pick<GoUrl, 'path' | 'rawPath'> {
  const path = unescaped(written)
  return { path, rawPath: escaped(path, 'path') === written ? '' : written }
}

function authorityOf(scheme: string, authority: string): Pick<GoUrl, 'user' | 'host'> {
  const at = authority.lastIndexOf('@')
  const host = hostOf(scheme, authority.slice(at + 1))
  if (at === -1) return { user: undefined, host }
  const written = authority.slice(0, at)
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(written)) refuse('the user')
  const [name, password] = cut(written, ':').map((part) => part && escaped(unescaped(part), 'user'))
  return { user: password === undefined ? name : `${name}:${password}`, host }
}

function hostOf(scheme: string, written: string): string {
  const bracket = written.lastIndexOf('[')
  if (bracket > 0) refuse('a bracket inside of the host')
  if (bracket === 0) return addressOf(written)
  const colon = written.indexOf(':')
  // Only of a host of the web are further colons refused.
  const isStrict = scheme === 'http' || scheme === 'https'
  if (colon !== -1) mustBePort(written.slice(isStrict ? colon : written.lastIndexOf(':')))
  return unescapedHost(written)
}

function mustBePort(port: string): void {
  if (!/^(?::\d*)?$/.test(port)) refuse('the port')
}

/** In a host only octets beyond ASCII, and the percent sign itself, are escaped. */
function unescapedHost(written: string): string {
  if (/%(?!25)[0-7]/.test(written)) refuse('an escape in the host')
  mustBeHost(written)
  return unescaped(written)
}

function mustBeHost(written: string): void {
  for (const character of written) {
    if (character < '\u0080' && character !== '%' && !keptIn.host.test(character)) refuse('the host')
  }
}

/** An IPv6 address in brackets, perhaps with a zone, and a port. @see RFC 6874 */
function addressOf(written: string): string {
  const close = written.lastIndexOf(']')
  if (close === -1) refuse('no closing bracket')
  const port = written.slice(close + 1)
  mustBePort(port)
  const inside = written.slice(1, close)
  const zoneAt = inside.indexOf('%25')
  const address =
    zoneAt === -1
      ? unescapedHost(inside)
      : unescapedHost(inside.slice(0, zoneAt)) + unescapedZone(inside.slice(zoneAt))
  const [bare = '', zone] = cut(address, '%')
  if (isIP(bare) !== 6 || zone === '') refuse('the address')
  return `[${address}]${port}`
}

function unescapedZone(written: string): string {
  mustBeHost(written)
  for (const [triple] of written.matchAll(/%[0-9a-fA-F]{2}/g)) {
    const character = String.fromCharCode(Number.parseInt(triple.slice(1), 16))
    const isKept = character < '\u0080' && keptIn.host.test(character)
    if (triple !== '%25' && character !== ' ' && !isKept) refuse('an escape in the zone')
  }
  return unescaped(written)
}

/** The host without port and brackets, and the port. */
export function splitHost(host: string): { readonly hostname: string; readonly port: string } {
  const [, before = host, port = ''] = /^(.*):(\d*)$/s.exec(host) ?? []
  return { hostname: /^\[.*\]$/s.test(before) ? before.slice(1, -1) : before, port }
}

/** The path as it goes into a URL. */
export function escapedPath({ path, rawPath }: Pick<GoUrl, 'path' | 'rawPath'>): string {
  if (rawPath !== '' && /^[A-Za-z0-9_.~\-!$&'()*+,;=:@[\]%/]*$/.test(rawPath)) return rawPath
  return path === '*' ? '*' : escaped(path, 'path')
}

/** The URL written again. */
export function urlOctets(url: GoUrl): string {
  let written = url.scheme === '' ? '' : `${url.scheme}:`
  if (url.opaque !== '') written += url.opaque
  else {
    const hasHost = url.host !== '' || url.user !== undefined
    if (hasHost || (url.scheme !== '' && !url.isHostOmitted && url.path !== '')) written += '//'
    if (url.user !== undefined) written += `${url.user}@`
    written += escaped(url.host, 'host')
    const path = escapedPath(url)
    if (path !== '' && !path.startsWith('/') && url.host !== '') written += '/'
    if (written === '' && path.split('/', 1)[0]?.includes(':')) written += './'
    written += path
  }
  if (url.hasEmptyQuery || url.rawQuery !== '') written += `?${url.rawQuery}`
  if (url.fragment === '') return written
  const isRawSound = url.rawFragment !== '' && /^[A-Za-z0-9_.~\-!$&'()*+,;=:@[\]%/?]*$/.test(url.rawFragment)
  return `${written}#${isRawSound ? url.rawFragment : escaped(url.fragment, 'fragment')}`
}

/** The URL as text again. */
export function urlText(url: GoUrl): string {
  return textOf(urlOctets(url))
}
