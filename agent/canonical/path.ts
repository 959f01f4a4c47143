/** Roots of what model servers serve, as they write them. */
const roots = ['/v2', '/v1', '/inference.GRPCInferenceService']
const foldedRoots = roots.map((root) => root.toLowerCase())

/**
 * Whether a path (without its query) is written in the one form that every reader understands alike. A path that Envoy,
 * Sluice and the model server could read differently is refused, whichever of them would be right.
 *
 * @returns why not, or `undefined`.
 * @see RFC 3986, sections 3.3, 5.2.4 and 6.2.2
 */
export function pathFault(path: string): string | undefined {
  if (path.charCodeAt(0) !== slash) return 'does not start with /'
  let before = 0
  for (let i = 0; i < path.length; i++) {
    const code = path.charCodeAt(i)
    if (code <= 0x20 || code >= 0x7f) return 'has a control, space or non-ASCII byte'
    if (forbidden[code] === 1) return `has ${path[i]}`
    if (before === slash) {
      if (code === slash) return 'has an empty segment'
      if (code === dot && isDotSegment(path, i)) return 'has a dot segment'
    }
    before = code
  }
  return isInOtherCase(path) ? 'is written in another case than the model server writes it' : undefined
}

const slash = 0x2f
const dot = 0x2e

/** Percent escapes (two spellings of one path), separators of other readers, fragments, and characters no path may have. */
const forbidden = new Uint8Array(128)
for (const character of '%\\;#"<>[]^`{|}?') forbidden[character.charCodeAt(0)] = 1

/** Whether `.` or `..` begins at `from` and is all of its segment. */
function isDotSegment(path: string, from: number): boolean {
  const end = path.charCodeAt(from + 1) === dot ? from + 2 : from + 1
  return end === path.length || path.charCodeAt(end) === slash
}

/** Whether a server that does not look at case would take the path for one of its own, and Sluice would not. */
function isInOtherCase(path: string): boolean {
  // What starts as roots start, in either case: `/v` and `/i`.
  const first = path.charCodeAt(1) | 0x20
  if (first !== 0x76 && first !== 0x69) return false
  for (let i = 0; i < roots.length; i++) {
    const root = roots[i] as string
    if (path.startsWith(root)) continue
    const end = path.charCodeAt(root.length)
    if ((end === slash || Number.isNaN(end)) && path.slice(0, root.length).toLowerCase() === foldedRoots[i])
      return true
  }
  return false
}

/** Whether a query has only bytes that a query may have. */
export function queryFault(query: string): string | undefined {
  for (let i = 0; i < query.length; i++) {
    const code = query.charCodeAt(i)
    if (code <= 0x20 || code >= 0x7f) return 'has a control, space or non-ASCII byte'
    if (code === 0x23) return 'has a fragment'
  }
  return undefined
}

/** Whether some reader, decoding or normalising, could take the path for one of the model server's. */
export function mayBeModelServers(path: string): boolean {
  const flat = path
    .toLowerCase()
    .replaceAll('%76', 'v')
    .replaceAll('%32', '2')
    .replaceAll('%2f', '/')
    .replaceAll('\\', '/')
  return flat.split('/').includes('v2') || flat.includes('grpcinferenceservice')
}
