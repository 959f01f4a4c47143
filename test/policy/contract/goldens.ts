import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Answer } from './answer.ts'
import { cases } from './cases.ts'
import { contractRego, type Side, startPair } from './pair.ts'

const file = join(import.meta.dirname, 'testdata', 'plugin.jsonl')

/** Larger requests are compared with the running plugin only. */
export const goldenCases = cases.filter(({ bytes }) => bytes.length < 20_000)

/** What the plugin answered to each case, by its name. */
export function readGoldens(): ReadonlyMap<string, Answer> {
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  return new Map(lines.map((line) => JSON.parse(line) as [string, Answer]))
}

/** The same, from a plugin that runs. */
export async function askGoldens(plugin: Side): Promise<ReadonlyMap<string, Answer>> {
  const answers = new Map<string, Answer>()
  for (const { name, bytes } of goldenCases) answers.set(name, await plugin.ask(bytes))
  return answers
}

// `node test/policy/contract/goldens.ts` writes them anew.
if (import.meta.main) {
  await using pair = await startPair({ rego: contractRego })
  const answers = await askGoldens(pair.plugin)
  writeFileSync(file, `${[...answers].map((entry) => JSON.stringify(entry)).join('\n')}\n`)
}
