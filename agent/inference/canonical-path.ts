/**
 * Whether a path (without its query) is written in the one form that every reader understands alike. A path that Envoy,
 * Sluice and the model server could read differently is refused, whichever of them would be right.
 *
 * @returns why not, or `undefined`.
 * @see RFC 3986, sections 3.3, 5.2.4 and 6.2.2
 */
export function pathFault(path: string): string | undefined {
  if (!path.startsWith('/')) return 'does not start with /'
  if (path.includes('//')) return 'has an empty segment'
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i)
    if (code <= 0x20 || code >= 0x7f) return 'has a control, space or non-ASCII byte'
    if (forbidden[code] === 1) return `has ${path[i]}`
  }
  return /\/\.\.?(?:\/|$)/.test(path) ? 'has a dot segment' : undefined
}

/** Percent escapes (two spellings of one path), separators of other readers, fragments, and characters no path may have. */
const forbidden = new Uint8Array(128)
for (const character of '%\\;#"<>^`{|}?') forbidden[character.charCodeAt(0)] = 1

/** Whether a query has only bytes that a query may have. */
export function queryFault(query: string): string | undefined {
  for (let i = 0; i < query.length; i++) {
    const code = query.charCodeAt(i)
    if (code <= 0x20 || code >= 0x7f) return 'has a control, space or non-ASCII byte'
    if (code === 0x23) return 'has a fragment'
  }
  return undefined
}
