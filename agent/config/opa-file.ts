import { readFileSync } from 'node:fs'
import { parse } from 'yaml'
import { messageOf, SluiceError } from '#base/errors.ts'
import { isJsonObject } from '#base/json.ts'
import { parseDocument } from '#base/schema-faults.ts'
import { parseText, readText, type SourceDocument } from '#base/yaml-document.ts'
import { type OpaFile, opaFileSchema } from './opa-schema.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads OPA's configuration as `opa run` does: `${NAME}` stands for a variable of the environment where there is such a
 * one, and `--set` and `--set-file` are laid over what the file says.
 *
 * @throws SluiceError that lists every mistake, and every key that is not served with what to do instead.
 */
export function loadOpaFile(options: {
  readonly path: string | undefined
  /** `a.b.c=value`, as it was given. */
  readonly set: readonly string[]
  /** `a.b.c=file`: the value is what the file says. */
  readonly setFile: readonly string[]
  readonly env: Environment
}): OpaFile {
  const { path, env } = options
  const document = path === undefined ? emptyDocument : onlyDocument(path, env)
  let value: unknown = document.value ?? {}
  const overlay = (text: string, option: string, valueFrom: (given: string) => unknown) => {
    const [, name, given] = /^([^=]+)=(.*)$/s.exec(text) ?? []
    if (
      name === undefined ||
      given === undefined ||
      name.split('.').some((key) => key === '' || key === '__proto__')
    ) {
      const found = text
      throw new SluiceError({ code: 'option_invalid', place: option, found, expected: 'a.b.c=value' })
    }
    const overlaid = name
      .split('.')
      .reduceRight((inner, key): unknown => ({ [key]: inner }), valueFrom(given))
    value = laidOver(value, overlaid)
  }
  for (const text of options.set)
    for (const one of splitList(substituted(text, env))) overlay(one, '--set', plainValue)
  for (const text of options.setFile) overlay(text, '--set-file', (file) => readOption(file, text))
  const parsed = parseDocument({ ...document, value }, opaFileSchema)
  if (!parsed.ok) throw new SluiceError(...parsed.faults)
  return parsed.value
}

const emptyDocument: SourceDocument = { value: {}, placeOf: () => '--set', placeOfKey: () => '--set' }

function onlyDocument(path: string, env: Environment): SourceDocument {
  const documents = parseText(substituted(readText(path), env), path)
  const [document = emptyDocument] = documents
  if (documents.length > 1)
    throw new SluiceError({
      code: 'config_invalid',
      place: path,
      found: `${documents.length} documents`,
      expected: 'one YAML document',
    })
  return document
}

/** Names that are not set stay as they are, as under OPA. */
function substituted(text: string, env: Environment): string {
  return text.replace(/\$\{([^}\n]*)\}/g, (whole, name: string) => env[name] ?? whole)
}

/** `a=1,b=2` is two values; a comma behind a backslash or in braces is none. */
function splitList(text: string): string[] {
  const parts: string[] = []
  let part = ''
  let depth = 0
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index)
    if (character === '\\' && text[index + 1] === ',') part += text.charAt(++index)
    else if (character === ',' && depth === 0) {
      parts.push(part)
      part = ''
    } else {
      if ('{['.includes(character)) depth++
      if ('}]'.includes(character)) depth--
      part += character
    }
  }
  return [...parts, part]
}

/** `true`, `null`, numbers and `{a,b}` are what they look like; the rest is text. */
function plainValue(text: string): unknown {
  if (text.startsWith('{') && text.endsWith('}')) {
    const list = text.slice(1, -1)
    return list === '' ? [] : splitList(list).map(plainValue)
  }
  if (/^(true|false|null)$/.test(text)) return parse(text)
  return /^-?(0|[1-9]\d{0,14})$/.test(text) ? Number(text) : text
}

function readOption(file: string, text: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch (cause) {
    const found = messageOf(cause)
    throw new SluiceError({
      code: 'file_unreadable',
      place: `--set-file ${text}`,
      found,
      expected: 'a file',
      cause,
    })
  }
}

function laidOver(below: unknown, above: unknown): unknown {
  if (!isJsonObject(below) || !isJsonObject(above)) return above
  const merged: Record<string, unknown> = { ...below }
  for (const [key, value] of Object.entries(above))
    merged[key] = Object.hasOwn(merged, key) ? laidOver(merged[key], value) : value
  return merged
}
