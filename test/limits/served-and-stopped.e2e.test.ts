import t from 'tap'
import type { LimitReport } from '#limits/admin/admin.ts'
import { run } from '../harness/run.ts'
import { startScriptedModel } from '../harness/scripted-model.ts'
import { eventually } from '../harness/temp.ts'
import { startValkey } from '../harness/valkey.ts'
import { aQuota, type Pod, startQuotaWorld } from './quota-world.ts'

const root = new URL('../..', import.meta.url).pathname
const word = (index: number) => `data: {"choices":[{"delta":{"content":"w${index} "}}]}\n\n`

for (const store of ['strict', 'leased'] as const) {
  t.test(
    `streams of an agent that is told to end are charged what they were served (${store})`,
    async (t) => {
      await using valkey = await startValkey()
      const streamed = new Set<string>()
      await using model = await startScriptedModel(async (scene) => {
        const { user } = JSON.parse(scene.body) as { readonly user: string }
        scene.head(200, 'text/event-stream')
        for (let index = 0; index < 5; index++) await scene.write(word(index))
        streamed.add(user)
        await eventually('the agent has gone', () => scene.isLeft())
      })
      const tenants = ['a', 'b', 'c', 'd']
      await using world = await startQuotaWorld({
        tenants,
        pods: 2,
        modelPort: model.port,
        quotas: [
          aQuota({
            limits: [
              { unit: 'outputTokens', name: 'output', limit: 10_000, period: { unit: 'year' }, store },
            ],
          }),
        ],
        limits: { store: `redis://127.0.0.1:${valkey.port}`, redis: { timeoutMs: 5000 } },
      })
      const [pod, other] = world.pods as [Pod, Pod]
      const read = new Map<string, string>()
      const calls = tenants.map((tenant) =>
        world
          .ask({
            pod,
            tenant,
            body: { model: 'llama', user: tenant, stream: true, max_tokens: 40, messages: [] },
            leave: (text) => {
              read.set(tenant, text)
              return false
            },
          })
          .catch(() => undefined),
      )
      await eventually('all stream', () => tenants.every((each) => read.get(each)?.includes('w4 ')))
      pod.agent.kill('SIGTERM')
      await Promise.all(calls)
      const lines = await eventually('each is settled', () => {
        const found = pod.auditLines().filter((each) => each['phase'] === 'usage')
        return found.length === tenants.length && found
      })
      for (const { charged } of lines) t.same(charged, { 'all/output': 5 })
      const cli = ['agent/main.ts', 'quota', 'show', '--admin', other.admin, '--json']
      await eventually('the counters say so at the other agent', async () => {
        const shown = (await run(process.execPath, cli, { cwd: root })).toString()
        const reports = JSON.parse(shown) as LimitReport[]
        return reports.reduce((sum, { used }) => sum + used, 0) === 5 * tenants.length
      })
    },
  )
}
