import fc from 'fast-check'
import t from 'tap'
import type { Verdict } from '#decision/verdict.ts'
import { createResidencyStage } from '#residency/residency.ts'
import { acme, anExchange, fraudRoute } from '../decision/an-exchange.ts'

const here = { zone: 'AE', partOf: ['GCC'], requireTag: true }
const judge = (
  tenant: readonly string[] | undefined,
  model: readonly string[] | undefined,
  options = here,
) => {
  const { residency: _, ...untagged } = acme
  const x = anExchange({
    tenant: tenant === undefined ? untagged : { ...acme, residency: { allow: [...tenant] } },
    modelRoute: { ...fraudRoute, ...(model && { zones: [...model] }) },
  })
  return { x, verdict: createResidencyStage(options).request?.(x) as Verdict }
}

t.test('this zone must be in what the tenant and the model allow', async (t) => {
  const rows: [tenant: string[] | undefined, model: string[] | undefined, outcome: string][] = [
    [['AE'], undefined, 'allow'],
    [['GCC'], undefined, 'allow'],
    [['AE', 'EU'], ['AE'], 'allow'],
    [['EU'], undefined, 'residency_denied'],
    [['AE'], ['EU'], 'residency_denied'],
    [['AE', 'EU'], ['EU', 'GCC'], 'residency_denied'],
    [['AE-DIFC'], undefined, 'residency_denied'],
    [undefined, ['AE'], 'residency_tag_missing'],
    [undefined, undefined, 'residency_tag_missing'],
  ]
  for (const [tenant, model, outcome] of rows) {
    const { verdict } = judge(tenant, model)
    t.equal(verdict.kind === 'allow' ? 'allow' : verdict.reason, outcome, `${tenant} ∩ ${model}`)
  }
})

t.test('without the demand for a tag silence is no refusal, but the model’s zones still bind', async (t) => {
  const options = { ...here, requireTag: false }
  t.equal(judge(undefined, undefined, options).verdict.kind, 'allow')
  t.match(judge(undefined, ['EU'], options).verdict, { reason: 'residency_denied' })
})

t.test('the label names who narrowed it', async (t) => {
  t.same(judge(['GCC', 'AE'], ['AE']).x.label, { zones: ['AE'], sources: ['tenant acme', 'model fraud'] })
})

t.test('another source never widens', async () => {
  const zones = fc.subarray(['AE', 'GCC', 'EU', 'SA', 'AE-DIFC'], { minLength: 1 })
  fc.assert(
    fc.property(zones, zones, (tenant, model) => {
      const narrow = judge(tenant, model).verdict.kind
      return narrow !== 'allow' || judge(tenant, undefined).verdict.kind === 'allow'
    }),
  )
})
