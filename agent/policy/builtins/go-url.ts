import { isIP } from 'node:net'
import { escapePercent, textOfBytes, unescapePercent } from './go-text.ts'
import { OperandError } from './operands.ts'

/** What Go's `net/url` makes of a URL; all of them empty where they are absent. */
export interface GoUrl {
  readonly scheme: string
  /** What stands behind the scheme where no slash does: `mailto:a@b`. */
  readonly opaque: string
  /** User and password as they were written, `undefined` without an `@`. */
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

const unreserved = 'A-Za-z0-9_.~\\-'
const keptIn = {
  path: new RegExp(`[${unreserved}$&+,/:;=@]`),
  fragment: new RegExp(`[${unreserved}!$&()*+,/:;=?@]`),
  host: new RegExp(`[${unreserved}!"$&'()*+,:;<=>[\\]]`),
}

function refuse(why: string): never {
  throw new OperandError(`not a URL: ${why}`)
}

function plain(escaped: string): string {
  return textOfBytes(unescapePercent(escaped))
}

/** @throws OperandError, RangeError. @see https://pkg.go.dev/net/url#Parse */
export function parseUrl(value: string): GoUrl {
  const [whole, fragment = ''] = cut(value, '#')
  const parsed = parseWhole(whole)
  if (fragment === '') return parsed
  const bytes = unescapePercent(fragment)
  const isPlain = escapePercent(bytes, keptIn.fragment) === fragment
  return { ...parsed, fragment: textOfBytes(bytes), rawFragment: isPlain ? '' : fragment }
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
  const bytes = unescapePercent(written)
  return {
    path: textOfBytes(bytes),
    rawPath: escapePercent(bytes, keptIn.path) === written ? '' : written,
  }
}

function authorityOf(scheme: string, authority: string): Pick<GoUrl, 'user' | 'host'> {
  const at = authority.lastIndexOf('@')
  const host = hostOf(scheme, authority.slice(at + 1))
  if (at === -1) return { user: undefined, host }
  const user = authority.slice(0, at)
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(user)) refuse('the user')
  unescapePercent(user)
  return { user, host }
}

function hostOf(scheme: string, written: string): string {
  const bracket = written.lastIndexOf('[')
  if (bracket > 0) refuse('a bracket inside of the host')
  if (bracket === 0) return addressOf(written)
  const colon = written.indexOf(':')
  // Only of a host of the web are further colons refused.
  const isStrict = scheme === 'http' || scheme === 'https'
  if (colon !== -1) mustBePort(written.slice(isStrict ? colon : written.lastIndexOf(':')))
  return unescapeHost(written)
}

function mustBePort(port: string): void {
  if (!/^(?::\d*)?$/.test(port)) refuse('the port')
}

/** In a host only bytes beyond ASCII are escaped. */
function unescapeHost(written: string): string {
  if (/%(?!25)[0-7]/i.test(written)) refuse('an escape in the host')
  mustBeHost(written)
  return plain(written)
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
      ? unescapeHost(inside)
      : unescapeHost(inside.slice(0, zoneAt)) + unescapeZone(inside.slice(zoneAt))
  const [bare = '', zone] = cut(address, '%')
  if (isIP(bare) !== 6 || zone === '') refuse('the address')
  return `[${address}]${port}`
}

function unescapeZone(written: string): string {
  mustBeHost(written)
  for (const [triple] of written.matchAll(/%[0-9a-fA-F]{2}/g)) {
    const character = String.fromCharCode(Number.parseInt(triple.slice(1), 16))
    const isKept = character < '\u0080' && keptIn.host.test(character)
    if (triple !== '%25' && character !== ' ' && !isKept) refuse('an escape in the zone')
  }
  return plain(written)
}

/** The host without port and brackets, and the port. */
export function splitHost(host: string): { readonly hostname: string; readonly port: string } {
  const [, before = host, port = ''] = /^(.*):(\d*)$/s.exec(host) ?? []
  return { hostname: /^\[.*\]$/s.test(before) ? before.slice(1, -1) : before, port }
}

/** The path as it goes into a URL. */
export function escapedPath(url: Pick<GoUrl, 'path' | 'rawPath'>): string {
  if (url.rawPath !== '' && /^(?:[A-Za-z0-9_.~\-!$&'()*+,;=:@[\]%/])*$/.test(url.rawPath)) return url.rawPath
  return url.path === '*' ? '*' : escapePercent(url.path, keptIn.path)
}

/** The URL as text again. */
export function urlText(url: GoUrl): string {
  let text = url.scheme === '' ? '' : `${url.scheme}:`
  if (url.opaque !== '') text += url.opaque
  else {
    const hasHost = url.host !== '' || url.user !== undefined
    if (hasHost || (url.scheme !== '' && !url.isHostOmitted && url.path !== '')) text += '//'
    if (url.user !== undefined) text += `${url.user}@`
    text += escapePercent(url.host, keptIn.host)
    const path = escapedPath(url)
    if (path !== '' && !path.startsWith('/') && url.host !== '') text += '/'
    if (text === '' && path.split('/', 1)[0]?.includes(':')) text += './'
    text += path
  }
  if (url.hasEmptyQuery || url.rawQuery !== '') text += `?${url.rawQuery}`
  if (url.fragment === '') return text
  const isRawSound = url.rawFragment !== '' && /^[A-Za-z0-9_.~\-!$&'()*+,;=:@[\]%/?]*$/.test(url.rawFragment)
  return `${text}#${isRawSound ? url.rawFragment : escapePercent(url.fragment, keptIn.fragment)}`
}
