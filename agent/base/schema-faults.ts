import { z } from 'zod'
import type { Fault } from './errors.ts'
import type { SourceDocument } from './yaml-document.ts'

type Issue = z.core.$ZodIssue

/**
 * Checks a document against a schema.
 *
 * @returns the parsed value, or every fault with its place, what was found and what was expected.
 */
export function parseDocument<S extends z.ZodType>(
  document: SourceDocument,
  schema: S,
):
  | { readonly ok: true; readonly value: z.infer<S> }
  | { readonly ok: false; readonly faults: readonly [Fault, ...Fault[]] } {
  const result = schema.safeParse(document.value)
  if (result.success) return { ok: true, value: result.data }
  const faults = result.error.issues.flatMap((issue) => faultsOf(issue, document, schema))
  // A failed parse has an issue, and an issue has a fault.
  return { ok: false, faults: faults as [Fault, ...Fault[]] }
}

function faultsOf(issue: Issue, document: SourceDocument, schema: z.ZodType): Fault[] {
  if (issue.code === 'unrecognized_keys') {
    const known = knownKeys(schema, issue.path)
    return issue.keys.map((key) => {
      const path = [...issue.path, key]
      const near = nearest(key, known)
      return {
        code: 'key_unknown',
        place: `${document.placeOfKey(path)}: ${path.join('.')}`,
        found: 'a key that is not known',
        expected: near ?? (known.length === 0 ? 'no such key' : `one of ${known.join(', ')}`),
      }
    })
  }
  return [
    {
      code: 'value_invalid',
      place: `${document.placeOf(issue.path)}: ${issue.path.join('.') || '(document)'}`,
      found: found(issue.path, valueAt(document.value, issue.path)),
      expected: expected(issue),
    },
  ]
}

const nouns: Readonly<Record<string, string>> = {
  string: 'text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a map',
  record: 'a map',
  array: 'a list',
}

/** What should have been there, in the words of somebody who writes YAML. */
function expected(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return nouns[issue.expected] ?? issue.expected
    case 'invalid_value':
      return alternatives(issue.values.map((value) => JSON.stringify(value)))
    case 'invalid_union': {
      const { options } = issue as { readonly options?: readonly unknown[] }
      if (options !== undefined) return alternatives(options.map((value) => JSON.stringify(value)))
      return alternatives(issue.errors.flat().map(expected))
    }
    case 'too_small':
      return `${issue.inclusive === false ? 'more than' : 'at least'} ${issue.minimum}${unitOf(issue.origin)}`
    case 'too_big':
      return `${issue.inclusive === false ? 'less than' : 'at most'} ${issue.maximum}${unitOf(issue.origin)}`
    default:
      return issue.message
  }
}

function unitOf(origin: string): string {
  return origin === 'array' ? ' in the list' : origin === 'string' ? ' characters' : ''
}

function alternatives(texts: readonly string[]): string {
  return [...new Set(texts)].join(' or ')
}

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly items?: JsonSchema
  readonly additionalProperties?: JsonSchema | boolean
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
}

/** The keys that the schema knows at a path, in every one of its alternatives. */
function knownKeys(schema: z.ZodType, path: readonly PropertyKey[]): string[] {
  const alternativesOf = (each: JsonSchema): readonly JsonSchema[] =>
    [each, ...(each.anyOf ?? []), ...(each.oneOf ?? [])].flatMap((one) =>
      one === each ? [one] : alternativesOf(one),
    )
  let at = alternativesOf(z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema)
  for (const step of path) {
    at = at.flatMap(({ properties, items, additionalProperties: rest }) => {
      const next = typeof step === 'number' ? items : properties?.[String(step)]
      const found = next ?? (typeof rest === 'object' ? rest : undefined)
      return found === undefined ? [] : alternativesOf(found)
    })
  }
  return [...new Set(at.flatMap(({ properties = {} }) => Object.keys(properties)))]
}

/** The word that was probably meant: at most two letters are wrong, and it is not all wrong. */
function nearest(word: string, words: readonly string[]): string | undefined {
  const best = words
    .map((each) => ({ each, distance: editDistance(word.slice(0, 64).toLowerCase(), each.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance)[0]
  return best !== undefined && best.distance <= 2 && best.distance < best.each.length ? best.each : undefined
}

/** Letters to insert, remove or replace. @see Wagner & Fischer, The String-to-String Correction Problem (1974) */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, column) => column)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] as number) + 1, (next[j - 1] as number) + 1))
    }
    row = next
  }
  return row[b.length] as number
}

function valueAt(value: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key], value)
}

/** Below these, where a key itself stands, and in URLs that name a user, are secrets; what is found is printed and logged. */
const secretAt = /(^|\.)(credentials|headers)(\.|$)|(^|\.)keys\.[^.]*(\.key)?$/
const userInUrl = /\/\/[^/]*@/

function found(path: readonly PropertyKey[], value: unknown): string {
  const isSecret = secretAt.test(path.join('.')) || userInUrl.test(JSON.stringify(value) ?? '')
  if (!isSecret || value === undefined || isMap(value)) return shown(value)
  return `${Array.isArray(value) ? 'a list' : typeof value === 'string' ? 'text' : `a ${typeof value}`}, not shown`
}

/** Of a map only the names: what is wrong with it is which there are, and values may be secret. */
function shown(value: unknown): string {
  if (value === undefined) return 'nothing'
  if (isMap(value)) {
    const names = Object.keys(value)
    return names.length === 0 ? 'an empty map' : shortened(`a map of ${names.join(', ')}`)
  }
  return shortened(JSON.stringify(value) ?? String(value))
}

function shortened(text: string): string {
  return text.length > 80 ? `${text.slice(0, 77)}…` : text
}

function isMap(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
