import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { readBundle } from '#policy/bundle/bundle.ts'
import { createEngine } from '#policy/engine/engine.ts'
import { InputDocument } from '#policy/engine/input-document.ts'
import { fromJsonText, toJson } from '#policy/values/json.ts'
import { goTool } from '../../harness/go-tools.ts'
import { buildBundle } from '../../harness/opa.ts'
import { run } from '../../harness/run.ts'
import { temporaryFolder } from '../../harness/temp.ts'

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
  const rules = expressions.map((expression, index) => `results["${index}"] := json.marshal(${expression})`)
  const source = `package case\n\nresults["-"] := true\n${rules.join('\n')}\n`
  const bundle = await buildBundle({ files: { 'case.rego': source }, entrypoint: 'case/results' })
  const engine = createEngine({ ...readBundle(bundle, 'test', 'case/results'), place: 'test' })
  const nowNs = BigInt(Date.now()) * 1_000_000n
  const ours = engine.evaluate('case/results', new InputDocument({}), { nowNs }) as Record<string, string>
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

/** JSON with its keys in order and strings and numbers written in one way; no digit is lost. */
function ordered(json: string | undefined): string | undefined {
  return json === undefined ? undefined : JSON.stringify(toJson(fromJsonText(json)), byKey)
}

function byKey(_: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || isRaw(value)) return value
  return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
}

const isRaw = (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON
