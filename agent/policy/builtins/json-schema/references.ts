import { fromJsonText } from '../../values/json.ts'
import { escapedPath, type GoUrl, octetsOf, parseUrl, textOf, urlOctets, urlText } from '../go-url.ts'
import { documentOf, isMap, type Json, SchemaError } from './document.ts'
import { metaSchemas } from './meta-schemas.ts'
import type { Draft } from './schema.ts'

/** A document by reference, and the draft that it names. */
interface Pooled {
  readonly document: Json
  readonly draft: Draft | undefined
}

const drafts: ReadonlyMap<string, Draft> = new Map([
  ['http://json-schema.org/draft-04/schema', 4],
  ['http://json-schema.org/draft-06/schema', 6],
  ['http://json-schema.org/draft-07/schema', 7],
])

export function parseReference(written: string): GoUrl {
  try {
    return parseUrl(octetsOf(written))
  } catch (cause) {
    throw new SchemaError(`parse ${JSON.stringify(written)}: not a reference`, { cause })
  }
}

/** A reference found in a document, from where the document is. @see RFC 3986, section 5.2 */
export function inherit(base: GoUrl, reference: GoUrl): GoUrl {
  const { user, host } = reference
  const scheme = reference.scheme || base.scheme
  if (reference.scheme !== '' || host !== '' || user !== undefined)
    return again({ ...reference, scheme, ...withPath(resolvePath(escapedPath(reference), '')) })
  const nowhere = { user: undefined, host: '', path: '', rawPath: '' }
  if (reference.opaque !== '') return again({ ...reference, scheme, ...nowhere })
  const isPathless = reference.path === ''
  const rawQuery =
    isPathless && !reference.hasEmptyQuery && reference.rawQuery === '' ? base.rawQuery : reference.rawQuery
  if (isPathless && base.opaque !== '')
    return again({ ...reference, scheme, rawQuery, opaque: base.opaque, ...nowhere })
  const path = resolvePath(escapedPath(base), escapedPath(reference))
  return again({ ...reference, scheme, rawQuery, user: base.user, host: base.host, ...withPath(path) })
}

function again(url: GoUrl): GoUrl {
  return parseUrl(urlOctets(url))
}

function withPath(escaped: string): Pick<GoUrl, 'path' | 'rawPath'> {
  const { path, rawPath } = parseUrl(`x:/${escaped.replace(/^\//, '')}`)
  return escaped === '' ? { path: '', rawPath: '' } : { path, rawPath }
}

function resolvePath(base: string, reference: string): string {
  const full =
    reference === ''
      ? base
      : reference.startsWith('/')
        ? reference
        : base.slice(0, base.lastIndexOf('/') + 1) + reference
  if (full === '') return ''
  const kept: string[] = []
  const segments = full.replace(/^\//, '').split('/')
  for (const segment of segments) {
    if (segment === '..') kept.pop()
    else if (segment !== '.') kept.push(segment)
  }
  const last = segments.at(-1)
  return `/${kept.join('/')}${(last === '.' || last === '..') && kept.length > 0 ? '/' : ''}`
}

/** The draft and text of `$schema`. @throws SchemaError */
export function draftOf(document: Json): Draft | undefined {
  if (typeof document === 'boolean') return undefined
  if (!isMap(document)) throw new SchemaError('schema is invalid')
  const named = document.get('$schema')
  if (named === undefined) return undefined
  if (typeof named !== 'string') throw new SchemaError('$schema must be of type string')
  return drafts.get(urlText(parseReference(named)))
}

/** Whose values may be objects that are no schemas: a property may be called `$ref`. */
const maps = new Set(['properties', 'dependencies', 'patternProperties'])

/** All documents that references of one schema can name; nothing is ever fetched. */
export class ReferencePool {
  readonly #documents = new Map<string, Pooled>()

  /** Adds a document and every part of it that has an id, and makes its references absolute. @throws SchemaError */
  add(document: Json, at: GoUrl): void {
    const name = urlText(at)
    if (this.#documents.has(name)) throw new SchemaError(`Reference already exists: "${name}"`)
    const draft = draftOf(document)
    this.#scan(document, at, draft)
    this.#documents.set(name, { document, draft })
  }

  #scan(document: Json, at: GoUrl, draft: Draft | undefined): void {
    if (Array.isArray(document)) for (const item of document) this.#scan(item, at, draft)
    if (!isMap(document)) return
    const here = this.#identify(document, at, draft)
    const reference = document.get('$ref')
    if (typeof reference === 'string') {
      const absolute = attempt(() => urlText(inherit(here, parseReference(reference))))
      if (absolute !== undefined) document.set('$ref', absolute)
    }
    for (const [key, item] of document) {
      // These are values, not schemas.
      if (key === 'const' || key === 'enum') continue
      if (!maps.has(key)) this.#scan(item, here, draft)
      else if (isMap(item)) for (const child of item.values()) this.#scan(child, here, draft)
    }
  }

  #identify(document: Map<string, Json>, at: GoUrl, draft: Draft | undefined): GoUrl {
    const id = document.get(document.has('id') ? 'id' : '$id')
    if (typeof id !== 'string') return at
    const here = attempt(() => inherit(at, parseReference(id)))
    if (here === undefined) return at
    const name = urlText(here)
    if (this.#documents.has(name)) throw new SchemaError(`Reference already exists: "${name}"`)
    this.#documents.set(name, { document, draft })
    return here
  }

  /** @throws SchemaError where there is no such document, or it would have to be fetched. */
  get(reference: GoUrl): Pooled {
    const name = urlText(reference)
    const known = this.#documents.get(name)
    if (known !== undefined) return known
    const whole = { ...reference, fragment: '', rawFragment: '' }
    const base = urlText(whole)
    if (!this.#documents.has(base)) this.#load(name, whole)
    const { document, draft } = this.#documents.get(base) as Pooled
    const pooled = { document: pointedAt(document, textOf(reference.fragment)), draft }
    this.#documents.set(name, pooled)
    return pooled
  }

  #load(name: string, whole: GoUrl): void {
    const isCanonical =
      whole.scheme === 'file' ? whole.path.startsWith('/') : whole.scheme !== '' && whole.host !== ''
    if (!isCanonical) throw new SchemaError(`Reference ${name} must be canonical`)
    const text = metaSchemas.get(urlText(whole))
    if (text === undefined) throw new SchemaError(`remote reference loading disabled: ${name}`)
    this.add(documentOf(fromJsonText(text)), whole)
  }
}

/** What is unsound here comes up again where it is compiled. */
function attempt<T>(read: () => T): T | undefined {
  try {
    return read()
  } catch {
    return undefined
  }
}

/** @see RFC 6901; a fragment that is no pointer points at the whole. */
function pointedAt(document: Json, pointer: string): Json {
  if (!pointer.startsWith('/')) return document
  let node: Json = document
  for (const token of pointer.slice(1).split('/')) {
    if (isMap(node)) {
      const key = token.replaceAll('~1', '/').replaceAll('~0', '~')
      const child: Json | undefined = node.get(key)
      if (child === undefined) throw new SchemaError(`Object has no key '${key}'`)
      node = child
    } else if (Array.isArray(node)) {
      if (!/^[+-]?\d+$/.test(token)) throw new SchemaError(`Invalid array index '${token}'`)
      const child: Json | undefined = node[Number(token)]
      if (child === undefined)
        throw new SchemaError(`Out of bound array[0,${node.length}] index '${Number(token)}'`)
      node = child
    } else throw new SchemaError(`Invalid token reference '${token}'`)
  }
  return node
}
