import type { Challenge } from '#decision/challenge.ts'
import type { Header } from '#decision/verdict.ts'

/**
 * A challenge as the headers of an answer. Every scheme stands in the one `WWW-Authenticate`: of several headers of a name
 * Envoy would keep the last.
 *
 * @see RFC 9110, 11.6.1; RFC 9449, 8.2
 */
export function challengeHeaders({ schemes, nonce }: Challenge): readonly Header[] {
  const text = schemes
    .map(({ scheme, parameters }) =>
      `${scheme} ${parameters.map(([name, value]) => `${name}=${quoted(value)}`).join(', ')}`.trimEnd(),
    )
    .join(', ')
  const authenticate: Header = ['www-authenticate', text]
  return nonce === undefined
    ? [authenticate]
    : [authenticate, ['dpop-nonce', nonce], ['cache-control', 'no-store']]
}

/** A quoted-string. Values are checked where they come in; what could still end the header early is left out. */
function quoted(value: string): string {
  return `"${value.replace(/[^\x20-\x7e]/g, '').replace(/["\\]/g, '\\$&')}"`
}
