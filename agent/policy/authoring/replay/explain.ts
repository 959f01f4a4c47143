import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isJsonObject } from '#base/json.ts'
import type { Opa } from '../opa/opa.ts'
import type { LoggedEvent } from './events.ts'
import type { Replayed } from './replay.ts'

/**
 * How `opa` comes to its result for the same question, from the sources: `opa eval --explain=full`. What was recorded of
 * clocks, tokens and dice takes the place of the builtin, where all of its calls said the same.
 *
 * @param folders Rego and data.
 * @throws SluiceError with what `opa` said.
 */
export async function explain(opa: Opa, folders: readonly string[], replayed: Replayed): Promise<string> {
  const { event, decision, input } = replayed
  const work = mkdtempSync(join(tmpdir(), 'sluice-explain-'))
  try {
    const file = join(work, 'input.json')
    if (input !== undefined) writeFileSync(file, JSON.stringify(input))
    const args = [
      'eval',
      '--explain=full',
      '--format',
      'pretty',
      ...folders.flatMap((each) => ['--data', each]),
    ]
    if (input !== undefined) args.push('--input', file)
    const path = decision.split('/').map((each) => `[${JSON.stringify(each)}]`)
    const { stdout } = await opa.run([...args, `data${path.join('')}${substitutes(event)}`], {
      expected: 'the sources of the bundle (--explain DIR)',
    })
    return stdout
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
}

function substitutes({ atMs, recorded }: LoggedEvent): string {
  const values = new Map<string, string>()
  if (atMs !== undefined) values.set('time.now_ns', `${BigInt(Math.round(atMs)) * 1_000_000n}`)
  for (const [name, calls] of Object.entries(recorded)) {
    const said = new Set(
      Object.values(isJsonObject(calls) ? calls : {}).map((value) => JSON.stringify(value)),
    )
    const [only] = said
    if (said.size === 1 && only !== undefined && /^[a-z][a-z0-9_.]*$/.test(name)) values.set(name, only)
  }
  return [...values].map(([name, value]) => ` with ${name} as ${value}`).join('')
}
