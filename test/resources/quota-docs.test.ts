import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { quotaPolicySpec } from '#resources/quota-schema.ts'

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'quotas.md'), 'utf8')

t.test('every example of a quota in the documentation is one', async (t) => {
  const examples = [...page.matchAll(/```yaml\n(.*?)```/gs)].map(([, text = '']) => text)
  let count = 0
  for (const text of examples) {
    const [document] = parseAllDocuments(text)
    const value = document?.toJS() as Record<string, unknown>
    // Of the agent's own configuration.
    if (Array.isArray(value['limits']) || value['reserve'] !== undefined || value['kind'] === 'QuotaPolicy') {
      const spec = value['kind'] === 'QuotaPolicy' ? value['spec'] : value
      const tokens = { unit: 'tokens', limit: 100_000, period: { unit: 'day' } }
      const parsed = quotaPolicySpec.safeParse({ tenants: ['*'], limits: [tokens], ...(spec as object) })
      t.ok(parsed.success, `${text}${parsed.error ?? ''}`)
      count++
    }
  }
  t.ok(count >= 7, `${count} examples`)
})
