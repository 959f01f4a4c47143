import { readFileSync } from 'node:fs'
import { isNode, LineCounter, parseAllDocuments, type Document as YamlDocument } from 'yaml'
import type { z } from 'zod'
import { type Fault, messageOf, SluiceError } from './errors.ts'

/** One document of a file, with the way back from a path in it to a line. */
export interface SourceDocument {
  readonly value: unknown
  /** `file:line` of what a path leads to, or of the nearest thing that exists above it. */
  placeOf(path: readonly PropertyKey[]): string
}

const maxBytes = 1 << 20

/**
 * Reads a YAML (or JSON) file of one or more documents. Aliases are refused: a few lines of them can stand for gigabytes.
 *
 * @throws SluiceError naming file and line.
 */
export function readDocuments(path: string): SourceDocument[] {
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SluiceError({
      code: 'file_unreadable',
      place: path,
      found: messageOf(cause),
      expected: 'a readable file',
      cause,
    })
  }
  if (text.length > maxBytes) {
    throw new SluiceError({
      code: 'file_too_large',
      place: path,
      found: `${text.length} characters`,
      expected: 'at most 1 MiB',
    })
  }
  const lines = new LineCounter()
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true })
  if (!Array.isArray(documents)) return []
  return documents.map((document) => {
    const at = (offset: number) => `${path}:${lines.linePos(offset).line}`
    const [error] = document.errors
    if (error !== undefined) throw malformed(at(error.pos[0]), error.message, error)
    let value: unknown
    try {
      value = document.toJS({ maxAliasCount: 0 })
    } catch (cause) {
      throw malformed(path, messageOf(cause), cause)
    }
    return { value, placeOf: (target) => at(offsetOf(document as YamlDocument.Parsed, target)) }
  })
}

function malformed(place: string, found: string, cause: unknown): SluiceError {
  return new SluiceError({
    code: 'yaml_malformed',
    place,
    found,
    expected: 'YAML without aliases or repeated keys',
    cause,
  })
}

function offsetOf(document: YamlDocument.Parsed, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const node = document.getIn(path.slice(0, length), true)
    if (isNode(node) && node.range) return node.range[0]
  }
  return document.contents?.range?.[0] ?? 0
}

/**
 * Checks a document against a schema.
 *
 * @returns the parsed value, or every fault with its line and path.
 */
export function parseDocument<S extends z.ZodType>(
  document: SourceDocument,
  schema: S,
):
  | { readonly ok: true; readonly value: z.infer<S> }
  | { readonly ok: false; readonly faults: readonly Fault[] } {
  const result = schema.safeParse(document.value)
  if (result.success) return { ok: true, value: result.data }
  const faults = result.error.issues.map((issue): Fault => {
    const path = issue.code === 'unrecognized_keys' ? [...issue.path, issue.keys[0] as string] : issue.path
    return {
      code: 'value_invalid',
      place: `${document.placeOf(path)}: ${path.join('.') || '(document)'}`,
      found:
        issue.code === 'unrecognized_keys' ? 'a key that is not known' : shown(valueAt(document.value, path)),
      expected: issue.code === 'unrecognized_keys' ? 'no such key' : issue.message,
    }
  })
  return { ok: false, faults }
}

/** All faults as one error; `place` of the first. */
export function faultsError(faults: readonly Fault[]): SluiceError {
  const [first, ...rest] = faults as [Fault, ...Fault[]]
  if (rest.length === 0) return new SluiceError(first)
  const text = faults.map((fault) => new SluiceError(fault).message).join('\n')
  return Object.assign(new SluiceError(first), { message: text })
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value)
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  const text = JSON.stringify(value) ?? String(value)
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}
