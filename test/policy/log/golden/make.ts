// Writes the golden files: what the real OPA Envoy plugin logs of some requests. `node test/policy/log/golden/make.ts`.
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { pluginEvents } from './plugin-events.ts'

for (const [name, events] of Object.entries(await pluginEvents())) {
  writeFileSync(join(import.meta.dirname, `${name}.json`), `${JSON.stringify(events, null, 2)}\n`)
}
