import t from 'tap'
import type { Verdict } from '#decision/verdict.ts'
import { createResidencyStage } from '#residency/residency.ts'
import { acme, anExchange, fraudRoute } from '../decision/an-exchange.ts'
import fc from '../fast-check.ts'

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
    [['AE', 'EU'], ['EU', 'GCC'], 'allow'],
    [['GCC'], ['AE'], 'allow'],
    [['GCC'], ['GCC'], 'allow'],
    [['SA', 'EU'], ['EU', 'GCC'], 'residency_denied'],
    [['GCC'], ['EU'], 'residency_denied'],
    [['A'], undefined, 'residency_denied'],
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
  t.same(judge(['GCC', 'EU'], ['AE', 'EU']).x.label?.zones, ['AE', 'EU'], 'AE is part of GCC')
  t.same(judge(['EU'], ['AE', 'GCC']).x.label?.zones, [])
})

t.test('what is allowed is allowed by every source alone, and the other way round', async () => {
  const zones = fc.subarray(['AE', 'GCC', 'EU', 'SA', 'AE-DIFC'], { minLength: 1 })
  fc.assert(
    fc.property(zones, zones, (tenant, model) => {
      const alone = [judge(tenant, undefined), judge(undefined, model, { ...here, requireTag: false })]
      const isAllowed = judge(tenant, model).verdict.kind === 'allow'
      return isAllowed === alone.every(({ verdict }) => verdict.kind === 'allow')
    }),
  )
})

t.test('the label holds this zone exactly where the request may go on', async () => {
  const zones = fc.subarray(['AE', 'GCC', 'EU', 'SA', 'AE-DIFC'], { minLength: 1 })
  fc.assert(
    fc.property(zones, zones, (tenant, model) => {
      const { x, verdict } = judge(tenant, model)
      return x.label?.zones.includes('AE') === (verdict.kind === 'allow')
    }),
  )
})

t.test('a request without a tenant has no tag', async (t) => {
  const x = anExchange({ tenant: undefined as never })
  t.match(createResidencyStage(here).request?.(x), { kind: 'deny', reason: 'residency_tag_missing' })
})
