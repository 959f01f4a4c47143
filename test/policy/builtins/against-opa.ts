import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { isRawJSON } from '#base/raw-json.ts'
import { readBundle } from '#policy/bundle/bundle.ts'
import { createEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { fromJsonText, toJson } from '#policy/values/json.ts'
import { goTool } from '../../harness/go-tools.ts'
import { buildBundle, opaEval } from '../../harness/opa.ts'
import { run } from '../../harness/run.ts'
import { temporaryFolder } from '../../harness/temp.ts'

/**
 * Rego's text of a JSON value. Characters that OPA refuses in a source are escaped, and so are line breaks beyond ASCII: a
 * TAP line that holds one is dropped without a word.
 */
export const rego = (value: unknown): string =>
  JSON.stringify(value).replace(
    /[\u007f-\u00a0\u2028\u2029\ufeff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )

/** A JSON value as an expression of which the compiler knows no type. */
export const untyped = (value: unknown): string => `json.unmarshal(${rego(JSON.stringify(value))})`

/**
 * Checks that each Rego expression has the value through our engine that the real `opa eval` gives it, undefined included.
 *
 * @param options.unordered expressions whose arrays are compared without their order: sets come out of the module in an
 *   order of its own, and of what OPA lists while it walks a Go map the order is another one each time.
 */
export async function sameAsOpa(
  t: Test,
  expressions: readonly string[],
  options: { readonly unordered?: boolean } = {},
): Promise<void> {
  const unordered = options.unordered ?? false
  const result = await valuesInEngine(ruleFor(expressions, (expression) => expression))
  // What no double holds is a literal of its own: compared as doubles, once every digit was compared as text elsewhere.
  const doubles = (value: unknown) => JSON.parse(JSON.stringify(value))
  const ours = doubles(result) as Record<string, unknown>
  const theirs = (await valuesInOpa(expressions)).map((value) =>
    value === undefined ? value : doubles(value),
  )
  for (const [index, expression] of expressions.entries()) {
    const [mine, right] = [ours[String(index)], theirs[index]]
    const [a, b] = unordered ? [withoutOrder(mine), withoutOrder(right)] : [mine, right]
    // Line breaks beyond ASCII would tear up what TAP shows of a difference.
    if (/[\u0085\u2028\u2029]/.test(JSON.stringify([a, b]))) t.equal(rego(a), rego(b), expression)
    else t.same(a, b, expression)
  }
}

/** One Rego expression, with its value as JSON text of every digit from us and from the real `opa eval`. */
export interface Answer {
  readonly expression: string
  readonly ours: string | undefined
  readonly theirs: string | undefined
}

/**
 * What the engine and `opa eval` make of the same expressions in the same module; undefined where an expression is. The
 * values are marshalled inside, since JavaScript would round what they print.
 */
export async function answersTo(expressions: readonly string[]): Promise<Answer[]> {
  const source = ruleFor(expressions, (expression) => `json.marshal(${expression})`)
  const ours = (await valuesInEngine(source)) as Record<string, string>
  using folder = temporaryFolder()
  const path = join(folder.path, 'case.rego')
  writeFileSync(path, source)
  const said = await run(await goTool('opa'), ['eval', '-f', 'json', '-d', path, 'data.case.results'])
  const theirs = JSON.parse(said.toString()).result[0].expressions[0].value as Record<string, string>
  return expressions.map((expression, index) => ({
    expression,
    ours: ordered(ours[String(index)]),
    theirs: ordered(theirs[String(index)]),
  }))
}

/** A module whose `results` has the value of each expression by its number, and is never undefined itself. */
function ruleFor(expressions: readonly string[], wrapped: (expression: string) => string): string {
  const rules = expressions.map((expression, index) => `results["${index}"] := ${wrapped(expression)}`)
  return `package case\n\nresults["-"] := true\n${rules.join('\n')}\n`
}

async function valuesInEngine(source: string): Promise<unknown> {
  const entrypoint = 'case/results'
  const bundle = readBundle(
    await buildBundle({ files: { 'case.rego': source }, entrypoint }),
    'test',
    entrypoint,
  )
  const engine = createEngine({ ...bundle, place: 'test' })
  return engine.evaluate(entrypoint, new InputDocument({}), { nowNs: BigInt(Date.now()) * 1_000_000n })
}

/** JSON with its keys in order and strings and numbers written in one way; no digit is lost. */
function ordered(json: string | undefined): string | undefined {
  return json === undefined ? undefined : JSON.stringify(toJson(fromJsonText(json)), byKey)
}

function byKey(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || isRawJSON(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

/** The query is one argument of a process, of which Linux takes 128 KiB. */
const maxQueryLength = 100_000

async function valuesInOpa(expressions: readonly string[]): Promise<unknown[]> {
  const values: unknown[] = []
  for (let from = 0; from < expressions.length; ) {
    let [to, length] = [from, 0]
    while (to < expressions.length && length < maxQueryLength)
      length += Buffer.byteLength(`${expressions[to++]}[x | x := ],`)
    const list = expressions.slice(from, to).map((expression) => `[x | x := ${expression}]`)
    const answer = (await opaEval(`[${list.join(',\n')}]`)) as unknown[][]
    values.push(...answer.map(([value]) => value))
    from = to
  }
  return values
}

function withoutOrder(value: unknown): unknown {
  if (Array.isArray(value)) {
    return value
      .map(withoutOrder)
      .map((item) => JSON.stringify(item))
      .sort()
  }
  if (typeof value !== 'object' || value === null) return value
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, item]) => [key, withoutOrder(item)])
}
