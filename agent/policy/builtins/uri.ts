import type { Family } from './builtin.ts'
import { octetsOf, parseUrl, splitHost, textOf } from './go-url.ts'
import { succeeds, text } from './operands.ts'

/** `uri.*`: references as Go's `net/url` reads them. */
export const uriBuiltins: Family = {
  'uri.parse': (_, value) => {
    const url = parseUrl(octetsOf(text(value)))
    const { hostname, port } = splitHost(url.host)
    const parts = {
      scheme: url.scheme,
      hostname,
      port,
      path: url.path,
      raw_path: url.path === '' ? '' : url.rawPath || url.path,
      raw_query: url.rawQuery,
      fragment: url.fragment,
    }
    return Object.fromEntries(
      Object.entries(parts)
        .filter(([, part]) => part !== '')
        .map(([name, part]) => [name, textOf(part)]),
    )
  },
  'uri.is_valid': (_, value) => value !== '' && succeeds(() => parseUrl(octetsOf(text(value)))),
}
