export type ParsedTarget =
  | { readonly ok: true; readonly uri: string }
  | { readonly ok: false; readonly why: string }

const defaultPorts: ReadonlyMap<string, string> = new Map([
  ['http', '80'],
  ['https', '443'],
])

/** `reg-name` without escapes, IPv4, or IPv6 in brackets, and a port. Both sides of `:` may not hold it. */
const authorityPattern = /^(\[[0-9a-f:.]+\]|[a-z0-9._~!$&'()*+,;=-]+)(?::(\d{0,5}))?$/

/**
 * The scheme, authority and path of an http URI in the one spelling that all its equivalents have: lower case, without the
 * default port, no escape of what needs none, the others in upper case, no dot segments, `/` for an empty path. Query and
 * fragment are left out, as `htu` has them. Nothing is mended on the way: what is no URI is none.
 *
 * @see RFC 9449, 4.3; RFC 3986, 6.2.2 and 6.2.3
 */
export function parseTargetUri(text: string): ParsedTarget {
  const no = (why: string): ParsedTarget => ({ ok: false, why })
  const colon = text.indexOf('://')
  if (colon === -1) return no('not absolute')
  const scheme = text.slice(0, colon).toLowerCase()
  const port = defaultPorts.get(scheme)
  if (port === undefined) return no('neither http nor https')
  const rest = withoutQuery(text.slice(colon + 3))
  const slash = rest.indexOf('/')
  const authority = authorityPattern.exec((slash === -1 ? rest : rest.slice(0, slash)).toLowerCase())
  if (authority === null) return no('no host')
  const [, host = '', own = ''] = authority
  const path = normalPath(slash === -1 ? '/' : rest.slice(slash))
  if (path === undefined) return no('a path with characters that no path has')
  const shownPort = own === '' || Number(own) === Number(port) ? '' : `:${Number(own)}`
  return { ok: true, uri: `${scheme}://${host}${shownPort}${path}` }
}

export function withoutQuery(target: string): string {
  for (let at = 0; at < target.length; at++) {
    const code = target.charCodeAt(at)
    if (code === 0x3f || code === 0x23) return target.slice(0, at)
  }
  return target
}

/**
 * A path in its one spelling.
 *
 * @param path begins with `/`
 * @returns undefined where it has what may not stand in a path: octets that need an escape, or half of one.
 */
export function normalPath(path: string): string | undefined {
  let text = ''
  let hasDots = false
  for (let at = 0; at < path.length; at++) {
    const code = path.charCodeAt(at)
    if (code === 0x25) {
      const octet = octetAt(path, at + 1)
      if (octet === undefined) return undefined
      const character = String.fromCharCode(octet)
      if (character === '.') hasDots = true
      text += isUnreserved(octet) ? character : `%${octet.toString(16).toUpperCase().padStart(2, '0')}`
      at += 2
    } else if (isPathCharacter(code)) {
      if (code === 0x2e) hasDots = true
      text += path[at]
    } else return undefined
  }
  return hasDots ? withoutDotSegments(text) : text
}

/** @see RFC 3986, 5.2.4 */
function withoutDotSegments(path: string): string {
  const kept: string[] = []
  const segments = path.slice(1).split('/')
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
    if (isLast && (segment === '.' || segment === '..')) kept.push('')
  }
  return `/${kept.join('/')}`
}

function octetAt(text: string, at: number): number | undefined {
  const [high, low] = [hexDigit(text.charCodeAt(at)), hexDigit(text.charCodeAt(at + 1))]
  return high === undefined || low === undefined ? undefined : high * 16 + low
}

function hexDigit(code: number): number | undefined {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : undefined
}

function isUnreserved(code: number): boolean {
  return (
    (code >= 0x30 && code <= 0x39) ||
    (code >= 0x41 && code <= 0x5a) ||
    (code >= 0x61 && code <= 0x7a) ||
    code === 0x2d ||
    code === 0x2e ||
    code === 0x5f ||
    code === 0x7e
  )
}

/** pchar without escapes, and the slash. @see RFC 3986, 3.3 */
function isPathCharacter(code: number): boolean {
  return isUnreserved(code) || pathMarks.has(code)
}

const pathMarks: ReadonlySet<number> = new Set([..."!$&'()*+,;=:@/"].map((each) => each.charCodeAt(0)))
