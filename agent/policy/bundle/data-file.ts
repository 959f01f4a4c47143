import { isNode, isScalar, parseDocument, visit } from 'yaml'
import { messageOf } from '#base/errors.ts'
import type { JsonValue } from '#base/json.ts'
import { parseExactJson } from '../input/json-text.ts'
import { refuse } from './refuse.ts'

/** Whether a bundle's file is data; OPA reads no other name. */
export function isDataFile(path: string): boolean {
  return /(^|\/)data\.(json|ya?ml)$/.test(path)
}

/** Reads JSON, every digit of a number kept, or YAML by the file's name. @throws SluiceError */
export function readDataFile(content: Buffer, place: string, path: string): JsonValue {
  if (!path.endsWith('.json')) return readYaml(content, place, path)
  try {
    return parseExactJson(content.toString())
  } catch (cause) {
    return refuse(place, path, messageOf(cause), 'JSON', cause)
  }
}

export function readJson(content: Buffer, place: string, path: string): JsonValue {
  try {
    return JSON.parse(content.toString())
  } catch (cause) {
    return refuse(place, path, messageOf(cause), 'JSON', cause)
  }
}

/** Numbers that OPA's reader understands by YAML 1.1: `017` is fifteen to it, `1_000` a thousand. */
const ambiguousNumber = /^[-+]?(0[0-9_bB]|[0-9][0-9]*_)/

/** Of YAML, which takes a hundred times as long to read as JSON does. */
const maxYamlBytes = 1 << 20

/** YAML of which there is only one reading: one document, no alias, tag or repeated key, no number that is read otherwise. */
function readYaml(content: Buffer, place: string, path: string): JsonValue {
  const expected = 'one YAML document without aliases, tags, repeated keys or odd numbers'
  if (content.length > maxYamlBytes)
    return refuse(
      place,
      path,
      `${content.length} bytes of YAML`,
      'at most 1 MiB; opa build writes JSON of it',
    )
  const document = parseDocument(content.toString(), { uniqueKeys: true, merge: false, prettyErrors: false })
  const [fault] = [...document.errors, ...document.warnings]
  if (fault !== undefined) return refuse(place, path, fault.message, expected, fault)
  const odd = (found: string) => refuse(place, path, found, expected)
  visit(document, {
    Alias: (_, { source }) => odd(`the alias *${source}`),
    Node: (_, node) => {
      if (node.tag !== undefined && !node.tag.startsWith('tag:yaml.org,2002:')) odd(`the tag ${node.tag}`)
    },
    Scalar: (_, node) => {
      if (node.type === 'PLAIN' && ambiguousNumber.test(node.source ?? ''))
        odd(`${node.source} without quotes`)
      if (typeof node.value === 'number' && !Number.isFinite(node.value)) odd(`the number ${node.source}`)
    },
    Pair: (_, { key }) => {
      if (isNode(key) && !isScalar(key)) odd('a key that is no text')
    },
  })
  return document.toJS({ maxAliasCount: 0 }) ?? null
}
