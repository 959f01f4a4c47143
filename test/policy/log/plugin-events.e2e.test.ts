import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { type Event, pluginEvents } from './golden/plugin-events.ts'

t.test('the golden events are what the real OPA Envoy plugin logs', async (t) => {
  const events = await pluginEvents()
  for (const [name, found] of Object.entries(events)) {
    const golden: Record<string, Event> = JSON.parse(
      readFileSync(join(import.meta.dirname, 'golden', `${name}.json`), 'utf8'),
    )
    t.same(found, golden, `${name}.json; node test/policy/log/golden/make.ts writes it anew`)
  }
})
