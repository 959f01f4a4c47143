import { readFileSync, statSync } from 'node:fs'
import { type Document, isMap, isNode, isScalar, LineCounter, parseAllDocuments, visit } from 'yaml'
import { type Fault, messageOf, SluiceError, throwFaults } from './errors.ts'

/** One document of a file, with the way back from a path in it to a line. */
export interface SourceDocument {
  readonly value: unknown
  /** `file:line:column` of what a path leads to, or of the nearest thing that exists above it. */
  placeOf(path: readonly PropertyKey[]): string
  /** The same of the key itself, where the path leads to an entry of a map. */
  placeOfKey(path: readonly PropertyKey[]): string
}

const maxBytes = 1 << 20

/** How files are read that were written for another program. */
export interface Dialect {
  /** YAML 1.1, with aliases and merge keys: what older parsers take. */
  readonly isYaml11: true
  /** Keys whose values are text, however much they look like a number. */
  readonly textKeys: ReadonlySet<string>
}

/** What aliases may make of a file of at most a mebibyte. */
const maxAliasCount = 1000

/**
 * Reads a YAML (or JSON) file of one or more documents. What readers could understand differently is refused: aliases (a
 * few lines of them can also stand for gigabytes), keys that are repeated or no plain text, tags that nobody resolves.
 *
 * @throws SluiceError naming every mistake with file, line and column.
 */
export function readDocuments(path: string, dialect?: Dialect): SourceDocument[] {
  return parseText(readText(path), path, dialect)
}

/** The same of a text that was read already; `path` is named in errors. @throws SluiceError */
export function parseText(text: string, path: string, dialect?: Dialect): SourceDocument[] {
  const lines = new LineCounter()
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset)
    return `${path}:${line}:${col}`
  }
  const documents = [
    ...parseAllDocuments(text, {
      lineCounter: lines,
      prettyErrors: false,
      uniqueKeys: true,
      merge: dialect !== undefined,
      ...(dialect && { version: '1.1' }),
    }),
  ]
  const faults = documents.flatMap((document) =>
    mistakes(document, dialect !== undefined).map(
      ({ offset, found, cause }): Fault => ({
        code: 'yaml_malformed',
        place: place(offset),
        found,
        expected: 'YAML without aliases, tags or repeated keys',
        cause,
      }),
    ),
  )
  throwFaults(faults)
  if (dialect) for (const document of documents) keepTexts(document, dialect.textKeys)
  return documents.map((document) => ({
    value: plainValue(document, path, dialect === undefined ? 0 : maxAliasCount),
    placeOf: (target) => place(offsetOf(document, target)),
    placeOfKey: (target) => place(keyOffset(document, target) ?? offsetOf(document, target)),
  }))
}

/** The values of these keys become what stands in the file. */
function keepTexts(document: Document.Parsed, keys: ReadonlySet<string>): void {
  visit(document, {
    Pair: (_, { key, value }) => {
      if (!isScalar(key) || !keys.has(String(key.value)) || !isScalar(value)) return
      if (value.value !== null && value.source !== undefined) value.value = value.source
    },
  })
}

/** @throws SluiceError where aliases make more of it than a person wrote. */
function plainValue(document: Document.Parsed, path: string, maxAliasCount: number): unknown {
  try {
    return document.toJS({ maxAliasCount })
  } catch (cause) {
    throw new SluiceError({
      code: 'yaml_malformed',
      place: path,
      found: messageOf(cause),
      expected: 'aliases of what stands there, not many of many',
      cause,
    })
  }
}

/** A file of at most a mebibyte. @throws SluiceError */
export function readText(path: string): string {
  try {
    const { size } = statSync(path)
    if (size > maxBytes) {
      const found = `${size} bytes`
      throw new SluiceError({ code: 'file_too_large', place: path, found, expected: 'at most 1 MiB' })
    }
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(path))
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    const found = messageOf(cause)
    throw new SluiceError({
      code: 'file_unreadable',
      place: path,
      found,
      expected: 'a readable file of UTF-8 text',
      cause,
    })
  }
}

interface Mistake {
  readonly offset: number
  readonly found: string
  readonly cause?: unknown
}

function mistakes(document: Document.Parsed, mayAlias: boolean): Mistake[] {
  const found: Mistake[] = [...document.errors, ...document.warnings].map((cause) => ({
    offset: cause.pos[0],
    found: cause.message,
    cause,
  }))
  visit(document, {
    Alias: (_, node) => {
      if (!mayAlias) found.push({ offset: node.range?.[0] ?? 0, found: `the alias *${node.source}` })
    },
    Map: (_, node) => {
      const seen = new Set<string>()
      for (const { key } of node.items) {
        const offset = (isNode(key) ? key.range?.[0] : undefined) ?? 0
        if (!isScalar(key)) found.push({ offset, found: 'a key that is no plain text' })
        // `1` and `"1"` are two keys of YAML and one of an object.
        else if (seen.has(String(key.value)))
          found.push({ offset, found: `the key ${key.value} a second time` })
        else seen.add(String(key.value))
      }
    },
  })
  return found
}

function offsetOf(document: Document.Parsed, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return node.range[0]
  }
  return document.contents?.range?.[0] ?? 0
}

function keyOffset(document: Document.Parsed, path: readonly PropertyKey[]): number | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true)
  if (!isMap(parent)) return undefined
  const pair = parent.items.find(({ key }) => isScalar(key) && String(key.value) === String(path.at(-1)))
  return isScalar(pair?.key) ? pair.key.range?.[0] : undefined
}
