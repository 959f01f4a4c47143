import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startAgent } from '../harness/agent.ts'
import { temporaryFolder } from '../harness/temp.ts'

t.test('quotas that nobody counts for are told for as long as they are there', async (t) => {
  using folder = temporaryFolder()
  const dir = join(folder.path, 'resources')
  mkdirSync(dir)
  writeFileSync(
    join(dir, 'gold.yaml'),
    JSON.stringify({
      apiVersion: 'sluice.dev/v1alpha1',
      kind: 'QuotaPolicy',
      metadata: { name: 'gold' },
      spec: { tenants: ['*'], limits: [{ unit: 'requests', rate: 1, window: '1s' }] },
    }),
  )
  for (const [limits, remark] of [
    [{}, /^\[\+\]resources ok, but limits is not configured: nobody counts/m],
    [{ limits: { store: 'memory' } }, /^\[\+\]resources ok$/m],
  ] as const) {
    const config = { resources: { dir }, ...limits }
    await using agent = await startAgent({ folder: folder.path, config })
    t.match((await agent.probe('/readyz?verbose')).body, remark)
  }
})
