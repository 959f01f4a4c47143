import t from 'tap'
import { normalPath, parseTargetUri } from '#identity/dpop/target-uri.ts'
import fc from '../../fast-check.ts'

t.test('equivalent URIs have one spelling', async (t) => {
  const rows: [rule: string, text: string, uri: string | undefined][] = [
    ['3986, 6.2.2.1', 'HTTP://EXAMPLE.com/a%c2%b1b', 'http://example.com/a%C2%B1b'],
    ['3986, 6.2.2.2', 'http://example.com/%7Efoo%2D%41', 'http://example.com/~foo-A'],
    ['3986, 6.2.2.3', 'http://example.com/foo/./bar/baz/../qux', 'http://example.com/foo/bar/qux'],
    ['3986, 6.2.2.3, escaped', 'http://example.com/a/%2e%2E/b', 'http://example.com/b'],
    ['3986, 5.2.4', 'http://example.com/../../a/..', 'http://example.com/'],
    ['3986, 5.2.4', 'http://example.com/a/.', 'http://example.com/a/'],
    ['3986, 5.2.4', 'http://example.com/a/b..c/.d', 'http://example.com/a/b..c/.d'],
    ['3986, 5.2.4', 'http://example.com/a//b', 'http://example.com/a//b'],
    ['3986, 6.2.3', 'http://example.com', 'http://example.com/'],
    ['3986, 6.2.3', 'http://example.com:80/', 'http://example.com/'],
    ['3986, 6.2.3', 'http://example.com:/', 'http://example.com/'],
    ['3986, 6.2.3', 'https://example.com:80/', 'https://example.com:80/'],
    ['9449, 4.3', 'https://example.com/a?b#c', 'https://example.com/a'],
    ['9449, 4.3', 'https://example.com?b', 'https://example.com/'],
    ['no escape decodes to a delimiter', 'https://example.com/a%2Fb%3f', 'https://example.com/a%2Fb%3F'],
    ['not absolute', '//example.com/', undefined],
    ['not http', 'ftp://example.com/', undefined],
    ['no host', 'https:///a', undefined],
    ['user', 'https://a@example.com/', undefined],
    ['port', 'https://example.com:123456/', undefined],
    ['port', 'https://example.com:x/', undefined],
    ['brackets', 'https://[::1/', undefined],
    ['a URL parser would mend it', 'https:\\\\example.com\\a', undefined],
    ['a URL parser would mend it', ' https://example.com/', undefined],
    ['a URL parser would mend it', 'https://exa\tmple.com/', undefined],
    ['a URL parser would mend it', 'https://example.com/a b', undefined],
    ['a URL parser would mend it', 'https://example.com/ä', undefined],
    ['half an escape', 'https://example.com/%4', undefined],
    ['half an escape', 'https://example.com/%zz', undefined],
  ]
  for (const [rule, text, uri] of rows) {
    const parsed = parseTargetUri(text)
    t.equal(parsed.ok ? parsed.uri : undefined, uri, `${rule}: ${text}`)
  }
})

t.test('a normal path is its own normal path, and says the same to a URL parser', async (t) => {
  const segment = fc.string({
    unit: fc.constantFrom(..."ab.%2e%2F%7E~-_!$&'()*+,;=:@".split('')),
    maxLength: 8,
  })
  const path = fc.array(segment, { maxLength: 6 }).map((segments) => `/${segments.join('/')}`)
  fc.assert(
    fc.property(path, (text) => {
      const normal = normalPath(text)
      if (normal === undefined) return
      t.equal(normalPath(normal), normal)
      t.equal(unescaped(new URL(`http://h${text}`).pathname), unescaped(normal), text)
    }),
    { numRuns: 2000 },
  )
})

/** Octets that need no escape, unescaped; the others in upper case. */
function unescaped(path: string): string {
  return path.replace(/%[0-9a-f]{2}/gi, (octet) => {
    const character = String.fromCharCode(Number.parseInt(octet.slice(1), 16))
    return /[A-Za-z0-9._~-]/.test(character) ? character : octet.toUpperCase()
  })
}
