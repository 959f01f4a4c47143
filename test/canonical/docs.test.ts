import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { headerRules } from '#canonical/header-table.ts'
import { configSchema } from '#config/schema.ts'
import { reasons } from '#decision/reasons.ts'
import { headerForms, hostForms, pseudoForms } from './forms.ts'
import { spellings } from './spellings.ts'

const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'canonical.md'), 'utf8')
const rules = new Map(
  [...page.matchAll(/^\| ([A-Z]\d+) \|(.*?)\|(.*?)\|/gm)].map(([, rule = '', what = '', refusal = '']) => [
    rule,
    { what, refusal },
  ]),
)
const shown = [...spellings, ...hostForms, ...headerForms]

t.test('every rule has requests that show it, and every request a rule', async (t) => {
  const inData = new Set([...shown, ...pseudoForms].map(({ rule }) => rule))
  // Methods have a table of their own, bodies stand with the inference stage.
  const elsewhere = ['M1', 'B1', 'B2']
  t.same(
    [...rules.keys()].filter((rule) => !elsewhere.includes(rule) && !inData.has(rule)),
    [],
  )
  t.same(
    [...inData].filter((rule) => !rules.has(rule)),
    [],
  )
  t.ok(rules.size > 30)
})

t.test('a rule says how a request is refused that breaks it', async (t) => {
  for (const form of shown) {
    const { refusal = '' } = rules.get(form.rule) ?? {}
    const isNamed = form.sluice === 'allow' || refusal.includes(form.sluice)
    // What breaks a rule may break one that is looked at before it.
    const isEarlier = form.sluice === 'header_duplicated' || form.rule === 'P10'
    t.ok(isNamed || isEarlier, `${form.rule}: ${form.sluice}, documented ${refusal}`)
  }
  for (const [, code = ''] of page.matchAll(/`([a-z]+(?:_[a-z]+)+)`/g))
    if (/_(canonical|duplicated|invalid|forbidden|malformed)$/.test(code)) t.ok(code in reasons, code)
})

t.test('every header that is judged is named, and every default', async (t) => {
  const { identity } = configSchema.parse({
    identity: { trustDomains: ['example.org'] },
    listen: { agent: 'unix:/run/agent.sock' },
  })
  for (const name of [...headerRules.keys(), ...(identity?.tenantHeaders ?? [])])
    if (name !== ':method' && name !== ':path') t.ok(page.includes(`\`${name}\``), name)
})
