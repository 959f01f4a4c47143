import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startAgent } from '../../harness/agent.ts'
import { type RateLimitClient, rateLimitClient } from '../../harness/rate-limit-client.ts'
import { ratelimitSource } from '../../harness/ratelimit.ts'
import { eventually, temporaryFolder } from '../../harness/temp.ts'
import { toldOf } from './peer/told.ts'

const runtime = join(await ratelimitSource(), 'test', 'integration', 'runtime', 'current', 'ratelimit')

type Entries = readonly (readonly [string, string])[]

async function ask(client: RateLimitClient, domain: string, ...descriptors: readonly Entries[]) {
  const told = toldOf(
    await client.ask({
      domain,
      hitsAddend: 1,
      descriptors: descriptors.map((entries) => ({
        entries: entries.map(([key, value]) => ({ key, value })),
      })),
    }),
  )
  return [told.code, ...told.statuses.map(({ code, remaining, limit }) => `${code} ${remaining} of ${limit}`)]
}

/** What `play` gives of a window that did not end meanwhile; each try is told its number, for keys of its own. */
async function inOneWindow<T>(seconds: number, play: (attempt: number) => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const began = Date.now()
    const played = await play(attempt)
    const windowAt = (ms: number) => Math.floor(ms / 1000 / seconds)
    if (windowAt(began) === windowAt(Date.now())) return played
  }
}

for (const compat of ['fixed', 'strict'] as const) {
  t.test(
    `${compat}: the agent answers as envoyproxy/ratelimit's integration tests want, and reloads`,
    async (t) => {
      using folder = temporaryFolder()
      const limits = join(folder.path, 'limits')
      mkdirSync(limits)
      cpSync(join(runtime, 'config'), limits, { recursive: true })
      await using _agent = await startAgent({
        folder: folder.path,
        config: { rateLimit: { config: ['limits'], compat } },
      })
      using client = rateLimitClient(`unix:${join(folder.path, 'agent.sock')}`)

      t.strictSame(await ask(client, 'foo', [['hello', 'world']]), ['ok', 'ok 0 of '])
      const first = await inOneWindow(1, (attempt) => ask(client, 'basic', [['key1', `foo${attempt}`]]))
      t.strictSame(first, ['ok', 'ok 49 of 50/SECOND'])

      const counted = await inOneWindow(60, async (attempt) => {
        const seen = []
        for (let i = 0; i < 25; i++) seen.push(await ask(client, 'another', [['key2', `${attempt}`]]))
        return seen
      })
      for (const [i, answer] of counted.entries()) {
        const code = i < 20 ? 'ok' : 'over'
        t.strictSame(answer, [code, `${code} ${Math.max(0, 19 - i)} of 20/MINUTE`], `call ${i + 1}`)
      }

      const both = await inOneWindow(60, async (attempt) => {
        const seen = []
        const value = `both${attempt}`
        for (let i = 0; i < 15; i++)
          seen.push(await ask(client, 'another', [['key2', value]], [['key3', value]]))
        return seen
      })
      for (const [i, answer] of both.entries()) {
        const code = i < 10 ? 'ok' : 'over'
        // What is refused is not charged: as there with STOP_CACHE_KEY_INCREMENT_WHEN_OVERLIMIT.
        const left = compat === 'fixed' ? Math.max(10, 19 - i) : 19 - i
        const wanted = [code, `ok ${left} of 20/MINUTE`, `${code} ${Math.max(0, 9 - i)} of 10/HOUR`]
        t.strictSame(answer, wanted, `both, call ${i + 1}`)
      }

      const shared = await inOneWindow(3600, async (attempt) => {
        if (attempt > 0) return undefined
        for (let i = 0; i < 10; i++) await ask(client, 'share-threshold-test', [['files', 'files/a.pdf']])
        return ask(client, 'share-threshold-test', [['files', 'files/b.csv']])
      })
      t.ok(shared === undefined || shared[0] === 'over', 'values of one pattern share a counter')
      for (let i = 0; i < 10; i++) {
        const own = await ask(client, 'share-threshold-test', [['files_no_share', `files_no_share/${i}`]])
        t.strictSame(own, ['ok', 'ok 9 of 10/HOUR'], 'and of another have their own')
      }

      const reload = () => ask(client, 'reload', [['block', 'foo']])
      t.strictSame(await reload(), ['ok', 'ok 0 of '])
      writeFileSync(join(limits, 'reload.yaml'), readFileSync(join(runtime, 'reload.yaml')))
      await eventually('the new file counts', async () => (await reload())[0] === 'over')
      const reloaded = await inOneWindow(1, (attempt) => ask(client, 'reload', [['key1', `foo${attempt}`]]))
      t.strictSame(reloaded, ['ok', 'ok 49 of 50/SECOND'])
      rmSync(join(limits, 'reload.yaml'))
      await eventually('the file that is gone counts no more', async () => (await reload())[0] === 'ok')
    },
  )
}
