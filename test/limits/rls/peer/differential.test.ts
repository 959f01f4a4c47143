import { isDeepStrictEqual } from 'node:util'
import t, { type Test } from 'tap'
import { Random } from '../../../harness/random.ts'
import type { RateLimitQuestion } from '../../../harness/rate-limit-client.ts'
import { startValkey } from '../../../harness/valkey.ts'
import { type Case, type Question, randomCase } from './cases.ts'
import { Excuses } from './excuses.ts'
import type { OwnSettings } from './own-server.ts'
import { resetsOf, toldOf } from './told.ts'
import { type Answers, startTrio, type Trio } from './trio.ts'

/** Cases for each of the variants; thousands where somebody wants to be sure. */
const runs = Number(process.env['RATELIMIT_RUNS'] ?? 60)
const seed = Number(process.env['RATELIMIT_SEED'] ?? 7)

/** How the peer and we are set. */
const variants: readonly {
  readonly name: string
  readonly env: Readonly<Record<string, string>>
  readonly settings: OwnSettings
}[] = [
  { name: 'plain', env: {}, settings: {} },
  { name: 'shadow', env: { SHADOW_MODE: 'true' }, settings: { isShadow: true } },
  {
    name: 'quota',
    env: { QUOTA_MODE: 'true', RESPONSE_DYNAMIC_METADATA: 'true' },
    settings: { isQuota: true, hasMetadata: true },
  },
  {
    name: 'headers',
    env: {
      LIMIT_RESPONSE_HEADERS_ENABLED: 'true',
      LIMIT_RESET_HEADER: 'x-reset',
      RESPONSE_DYNAMIC_METADATA: 'true',
    },
    settings: {
      headers: { limit: 'RateLimit-Limit', remaining: 'RateLimit-Remaining', reset: 'x-reset' },
      hasMetadata: true,
    },
  },
]

/** A case is repeated in another domain where a window ended meanwhile; later ones have long windows only. */
const tries = 5
const versionsOf = (number: number) =>
  Array.from({ length: tries }, (_, index) => randomCase(new Random(number), index >= 2))

await using valkey = await startValkey()
for (const [index, { name, env, settings }] of variants.entries()) {
  await t.test(
    `${name}: random configurations and requests are answered as by envoyproxy/ratelimit`,
    async (t) => {
      const cases = Array.from({ length: runs }, (_, each) =>
        versionsOf(seed * 1_000_003 + index * 100_003 + each),
      )
      const files = cases.flatMap((versions, number) =>
        versions.map(({ descriptors }, attempt): [string, string] => [
          `d${number}-${attempt}.yaml`,
          JSON.stringify({ domain: `d${number}-${attempt}`, descriptors }),
        ]),
      )
      await using trio = await startTrio({
        files: Object.fromEntries(files),
        valkeyPort: valkey.port,
        env: { CACHE_KEY_PREFIX: `${name}:`, ...env },
        settings,
      })
      const sums = { asked: 0, same: 0 }
      const met = new Map<string, number>()
      for (const [number, versions] of cases.entries()) {
        const played = await playOnce(trio, versions, number)
        if (played === undefined) t.fail(`case ${number}: a window ended in each of ${tries} tries`)
        else compare(t, { ...played, path: trio.fileOf(`${played.domain}.yaml`), settings, sums, met })
      }
      t.equal(sums.asked, runs * 12)
      t.ok(sums.same > sums.asked / 3, `${sums.same} of ${sums.asked} answers of fixed are the same`)
      t.comment(`differences met: ${JSON.stringify(Object.fromEntries(met))}`)
    },
  )
}

interface Round extends Answers {
  readonly question: Question
  readonly atMs: number
  /** Whether all were asked and answered in one second of the clock. */
  readonly isSameSecond: boolean
}

interface Played {
  readonly domain: string
  readonly played: Case
  readonly rounds: readonly Round[]
}

/** Plays a case; `undefined` where a window ended in each try. */
async function playOnce(trio: Trio, versions: readonly Case[], number: number): Promise<Played | undefined> {
  for (const [attempt, played] of versions.entries()) {
    const domain = `d${number}-${attempt}`
    const rounds: Round[] = []
    const began = Date.now()
    for (const question of played.questions) {
      const atMs = Date.now()
      const answers = await trio.ask({ ...question, domain } as unknown as RateLimitQuestion)
      rounds.push({ question, ...answers, atMs, isSameSecond: windowAt(atMs, 1) === windowAt(Date.now(), 1) })
    }
    const ended = Date.now()
    const isWhole = [...played.windows].every(
      (seconds) => windowAt(began, seconds) === windowAt(ended, seconds),
    )
    if (isWhole) return { domain, played, rounds }
  }
  return undefined
}

function windowAt(ms: number, seconds: number): number {
  return Math.floor(ms / 1000 / seconds)
}

function compare(
  t: Pick<Test, 'strictSame' | 'comment'>,
  options: Played & {
    readonly path: string
    readonly settings: OwnSettings
    readonly sums: { asked: number; same: number }
    readonly met: Map<string, number>
  },
): void {
  const { domain, played, rounds, path, settings, sums, met } = options
  const excuses = new Excuses({ path, domain, settings })
  for (const [at, { question, theirs, strict, fixed, isSameSecond, atMs }] of rounds.entries()) {
    const told = toldOf(theirs)
    const check = (what: string, found: unknown, wanted: unknown) => {
      if (isDeepStrictEqual(found, wanted)) return
      t.strictSame(found, wanted, `${what}, question ${at} in ${domain}`)
      const asked = { ...played, questions: played.questions.slice(0, at + 1) }
      t.comment(JSON.stringify(asked, (_, value) => (typeof value === 'bigint' ? Number(value) : value)))
    }
    const isWindowShared = excuses.meetsWindowName(question, atMs)
    if (!isWindowShared) {
      check('strict', toldOf(strict), told)
      if (isSameSecond) check('when the window ends', resetsOf(strict), resetsOf(theirs))
    }
    const { rules, isExcused, isSame } = excuses.judge(question, told, toldOf(fixed), isWindowShared)
    if (!isSame && !isExcused) check('fixed', toldOf(fixed), told)
    for (const rule of rules) met.set(rule, (met.get(rule) ?? 0) + 1)
    sums.asked++
    if (isSame) sums.same++
  }
}
