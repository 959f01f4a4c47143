import { isIP } from 'node:net'
import type { RegoObject } from '../../values/value.ts'
import { OperandError } from '../operands.ts'

type Part = 'path' | 'host' | 'user' | 'fragment'

/** What stands unescaped in each part, beside letters, digits and `-_.~`. */
const plain: Readonly<Record<Part, RegExp>> = {
  path: /[A-Za-z0-9\-_.~$&+,/:;=@]/,
  host: /[A-Za-z0-9\-_.~!"$&'()*+,:;<=>[\]]/,
  user: /[A-Za-z0-9\-_.~$&+,;=]/,
  fragment: /[A-Za-z0-9\-_.~!$&()*+,/:;=?@]/,
}

/** Each character of these texts is one byte, as Go's strings are bytes. */
export interface GoUrl {
  readonly scheme: string
  readonly opaque: string
  readonly user?: string
  readonly host: string
  readonly path: string
  readonly rawPath: string
  readonly forceQuery: boolean
  readonly rawQuery: string
  readonly fragment: string
  readonly rawFragment: string
  readonly omitHost: boolean
}

/** As Go's `url.Parse`, of bytes. @throws OperandError */
export function parseUrl(bytes: string): GoUrl {
  const hash = bytes.indexOf('#')
  const [before, written] = hash === -1 ? [bytes, ''] : [bytes.slice(0, hash), bytes.slice(hash + 1)]
  const fragment = unescaped(written, 'fragment')
  return {
    ...parseBeforeFragment(before),
    fragment,
    rawFragment: written === escaped(fragment, 'fragment') ? '' : written,
  }
}

function parseBeforeFragment(url: string): Omit<GoUrl, 'fragment' | 'rawFragment'> {
  if ([...url].some((each) => each < ' ' || each === '\x7f'))
    throw new OperandError('a control character in a URL')
  const empty = {
    opaque: '',
    host: '',
    path: '',
    rawPath: '',
    forceQuery: false,
    rawQuery: '',
    omitHost: false,
  }
  if (url === '*') return { ...empty, scheme: '', path: '*' }
  if (url.startsWith(':')) throw new OperandError('a URL without a scheme before its colon')
  const found = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(url)
  const scheme = (found?.[1] ?? '').toLowerCase()
  const afterScheme = found === null ? url : url.slice(found[0].length)
  const question = afterScheme.indexOf('?')
  const rest = question === -1 ? afterScheme : afterScheme.slice(0, question)
  const rawQuery = question === -1 ? '' : afterScheme.slice(question + 1)
  const common = { ...empty, scheme, rawQuery, forceQuery: question !== -1 && rawQuery === '' }
  if (!rest.startsWith('/')) {
    if (scheme !== '') return { ...common, opaque: rest }
    if ((rest.split('/', 1)[0] as string).includes(':'))
      throw new OperandError('a colon in the first segment')
  }
  if (rest.startsWith('//') && (scheme !== '' || !rest.startsWith('///'))) {
    const slash = rest.indexOf('/', 2)
    const authority = slash === -1 ? rest.slice(2) : rest.slice(2, slash)
    return {
      ...common,
      ...parseAuthority(scheme, authority),
      ...pathOf(slash === -1 ? '' : rest.slice(slash)),
    }
  }
  return { ...common, ...pathOf(rest), omitHost: scheme !== '' && rest.startsWith('/') }
}

function pathOf(written: string): Pick<GoUrl, 'path' | 'rawPath'> {
  const path = unescaped(written, 'path')
  return { path, rawPath: written === escaped(path, 'path') ? '' : written }
}

function parseAuthority(scheme: string, authority: string): Pick<GoUrl, 'user' | 'host'> {
  const at = authority.lastIndexOf('@')
  const host = parseHost(scheme, authority.slice(at + 1))
  if (at === -1) return { host }
  const info = authority.slice(0, at)
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(info)) throw new OperandError('an invalid user in a URL')
  const colon = info.indexOf(':')
  const [name, password] = colon === -1 ? [info] : [info.slice(0, colon), info.slice(colon + 1)]
  const shown = escaped(unescaped(name, 'user'), 'user')
  return {
    host,
    user: password === undefined ? shown : `${shown}:${escaped(unescaped(password, 'user'), 'user')}`,
  }
}

function parseHost(scheme: string, host: string): string {
  const bracket = host.lastIndexOf('[')
  if (bracket > 0) throw new OperandError('an invalid host in a URL')
  if (bracket === 0) {
    const close = host.lastIndexOf(']')
    const inner = host.slice(1, close)
    const address = inner.split('%25', 1)[0] as string
    if (close === -1 || isIP(address) !== 6 || !/^(?::[0-9]*)?$/.test(host.slice(close + 1)))
      throw new OperandError('an invalid IPv6 address in a URL')
    // A zone's `%25` is a percent sign; nothing else in an address can be escaped.
    return `[${inner.replace('%25', '%')}]${host.slice(close + 1)}`
  }
  const isWeb = scheme === 'http' || scheme === 'https'
  const colon = isWeb ? host.indexOf(':') : host.lastIndexOf(':')
  if (colon !== -1 && !/^[0-9]*$/.test(host.slice(colon + 1)))
    throw new OperandError('an invalid port in a URL')
  return unescaped(host, 'host')
}

/** @throws OperandError */
function unescaped(text: string, part: Part): string {
  if (part === 'host') {
    for (const character of text) {
      if (character !== '%' && character < '\x80' && !plain.host.test(character))
        throw new OperandError('an invalid character in the host of a URL')
    }
    // Only what is not ASCII, and the percent sign itself, may be escaped in a host.
    if (/%[0-7]/.test(text.replaceAll('%25', '')))
      throw new OperandError('an invalid escape in the host of a URL')
  }
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw new OperandError('an invalid escape in a URL')
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

function escaped(text: string, part: Part): string {
  return text.replace(/[^A-Za-z0-9\-_.~]/g, (character) =>
    plain[part].test(character)
      ? character
      : `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  )
}

/** As written where that is a valid writing, else escaped as Go would. */
function writing(raw: string, value: string, part: Part): string {
  const isValid = [...raw].every((each) => /[!$&'()*+,;=:@[\]%]/.test(each) || plain[part].test(each))
  return raw !== '' && isValid ? raw : escaped(value, part)
}

/** Go's `EscapedPath`. */
export function escapedPath({ path, rawPath }: GoUrl): string {
  return path === '*' && rawPath === '' ? '*' : writing(rawPath, path, 'path')
}

/** Go's `String`. */
export function urlText(url: GoUrl): string {
  const { scheme, opaque, user, host, path, forceQuery, rawQuery, fragment, rawFragment, omitHost } = url
  let text = scheme === '' ? '' : `${scheme}:`
  if (opaque !== '') text += opaque
  else {
    const hasAuthority = host !== '' || user !== undefined
    if (hasAuthority || (scheme !== '' && !omitHost && path !== '')) text += '//'
    if (user !== undefined) text += `${user}@`
    text += escaped(host, 'host')
    const shown = escapedPath(url)
    if (text === '' && (shown.split('/', 1)[0] as string).includes(':')) text = './'
    text += shown
  }
  if (forceQuery || rawQuery !== '') text += `?${rawQuery}`
  if (fragment !== '') text += `#${writing(rawFragment, fragment, 'fragment')}`
  return text
}

/** Bytes as the text that Go's JSON makes of them. */
export function shownBytes(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString()
}

/** Go's `url.URL` as JSON, whose user has no member that is seen. */
export function urlDocument(url: GoUrl): RegoObject {
  return {
    Scheme: url.scheme,
    Opaque: shownBytes(url.opaque),
    User: url.user === undefined ? null : {},
    Host: shownBytes(url.host),
    Path: shownBytes(url.path),
    RawPath: shownBytes(url.rawPath),
    OmitHost: url.omitHost,
    ForceQuery: url.forceQuery,
    RawQuery: shownBytes(url.rawQuery),
    Fragment: shownBytes(url.fragment),
    RawFragment: shownBytes(url.rawFragment),
  }
}
