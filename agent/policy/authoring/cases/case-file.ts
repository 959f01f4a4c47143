import { dirname, resolve } from 'node:path'
import { z } from 'zod'
import { type Fault, throwFaults } from '#base/errors.ts'
import { isJsonObject, type JsonValue } from '#base/json.ts'
import { parseDocument } from '#base/schema-faults.ts'
import { readDocuments } from '#base/yaml-document.ts'
import { parseMoment, readInputFile } from '../inputs/inputs.ts'

const moment = z
  .string()
  .describe('When the decision is made, RFC 3339; 2026-01-01T00:00:00Z where nothing is said')
const decision = z.string().describe('The entrypoint to ask; by default the one that the bundle is for')
const change = z
  .record(z.string(), z.json())
  .describe('What is different about the input, as a JSON merge patch (RFC 7396): null removes a key')

const verdictSchema = z
  .strictObject({
    allowed: z.boolean().optional(),
    reason: z.string().optional(),
    status: z.int().optional(),
    grpc_status: z.int().optional(),
    headers: z.record(z.string(), z.string()).optional(),
    body: z.string().optional(),
    set_headers: z.record(z.string(), z.string()).optional(),
    remove_headers: z.array(z.string()).optional(),
    add_response_headers: z.record(z.string(), z.string()).optional(),
    remove_response_headers: z.array(z.string()).optional(),
    response_body: z.string().optional(),
    set_query: z.record(z.string(), z.string()).optional(),
    remove_query: z.array(z.string()).optional(),
    dynamic_metadata: z.record(z.string(), z.json()).optional(),
  })
  .describe('What HTTP would see of it. Only the keys given are compared; of maps only the entries given')

const caseSchema = z
  .strictObject({
    name: z.string().min(1),
    decision: decision.optional(),
    now: moment.optional(),
    input: z
      .union([z.string(), z.record(z.string(), z.json())])
      .optional()
      .describe('The input in place of the base, or the path of a file that holds it'),
    change: change.optional(),
    expect: z
      .strictObject({
        result: z.json().optional().describe('What Rego says, the whole of it'),
        undefined: z.literal(true).optional().describe('Rego says nothing'),
        verdict: verdictSchema.optional(),
      })
      .refine(
        ({ result, undefined: none, verdict }) => [result, none, verdict].some((each) => each !== undefined),
        {
          error: 'at least one of result, undefined and verdict',
        },
      )
      .refine(({ result, undefined: none }) => result === undefined || none === undefined, {
        error: 'result or undefined, not both',
      }),
  })
  .readonly()

const fileSchema = z.strictObject({
  decision: decision.optional(),
  now: moment.optional(),
  base: z
    .union([z.string(), z.record(z.string(), z.json())])
    .optional()
    .describe('The input that cases start from, or the path of a file that holds it'),
  cases: z.array(caseSchema).min(1),
})

/** A question and what its answer must be. */
export interface Case {
  readonly name: string
  /** `file:line:column`. */
  readonly place: string
  readonly decision?: string
  readonly atMs: number
  /** An input document, or a captured CheckRequest. */
  readonly input: JsonValue
  /** A JSON merge patch on the input. */
  readonly change?: JsonValue
  readonly expect: z.infer<typeof caseSchema>['expect']
}

const defaultMoment = '2026-01-01T00:00:00Z'

/**
 * Reads `*.case.yaml`.
 *
 * @throws SluiceError naming every mistake with file and line.
 */
export function readCaseFile(path: string): Case[] {
  const faults: Fault[] = []
  const cases = readDocuments(path).flatMap((document) => {
    const parsed = parseDocument(document, fileSchema)
    if (!parsed.ok) {
      faults.push(...parsed.faults)
      return []
    }
    const { value: file } = parsed
    const inputOf = (named: string | JsonValue | undefined) =>
      typeof named === 'string' ? readInputFile(resolve(dirname(path), named)) : named
    const base = inputOf(file.base)
    return file.cases.map((each, index): Case => {
      const place = document.placeOf(['cases', index])
      const input = inputOf(each.input) ?? base
      if (input === undefined)
        faults.push({
          code: 'value_invalid',
          place: `${place}: cases.${index}`,
          found: 'no input',
          expected: 'an `input`, or a `base` for all cases of the file',
        })
      const named = each.decision ?? file.decision
      return {
        name: each.name,
        place,
        ...(named !== undefined && { decision: named.replace(/^data\./, '').replaceAll('.', '/') }),
        atMs: parseMoment(each.now ?? file.now ?? defaultMoment, `${place}: now`),
        input: input ?? null,
        ...(each.change && { change: each.change as JsonValue }),
        expect: each.expect,
      }
    })
  })
  throwFaults(faults)
  return cases
}

/** Applies a JSON merge patch. @see RFC 7396, 2 */
export function mergePatch(target: JsonValue | undefined, patch: JsonValue): JsonValue {
  if (!isJsonObject(patch)) return patch
  const merged = new Map<string, JsonValue | undefined>(isJsonObject(target) ? Object.entries(target) : [])
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key)
    else if (value !== undefined) merged.set(key, mergePatch(merged.get(key), value))
  }
  // `fromEntries` defines properties: a key called __proto__ stays a key.
  return Object.fromEntries(merged)
}
