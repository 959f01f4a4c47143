import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Compat } from '../../../../agent/limits/rls/types.ts'
import {
  type RateLimitAnswer,
  type RateLimitQuestion,
  rateLimitClient,
} from '../../../harness/rate-limit-client.ts'
import { startRatelimit } from '../../../harness/ratelimit.ts'
import { temporaryFolder } from '../../../harness/temp.ts'
import { type OwnSettings, startOwnServer } from './own-server.ts'

/** The peer and both of ours, on the same files. */
export interface Trio extends AsyncDisposable {
  /** The path of a configuration file by its name. */
  fileOf(name: string): string
  /** Asks all three at once. */
  ask(question: RateLimitQuestion): Promise<Answers>
}

export interface Answers {
  readonly theirs: RateLimitAnswer
  readonly strict: RateLimitAnswer
  readonly fixed: RateLimitAnswer
}

export async function startTrio(options: {
  readonly files: Readonly<Record<string, string>>
  readonly valkeyPort: number
  readonly env?: Readonly<Record<string, string>>
  readonly settings?: OwnSettings
}): Promise<Trio> {
  const { files, settings = {} } = options
  await using opening = new AsyncDisposableStack()
  const folder = opening.use(temporaryFolder())
  const limits = join(folder.path, 'limits')
  mkdirSync(limits)
  for (const [name, text] of Object.entries(files)) writeFileSync(join(limits, name), text)
  const peer = opening.use(await startRatelimit({ ...options, folder: folder.path }))
  const theirs = opening.use(rateLimitClient(peer.address))
  const own = async (compat: Compat) => {
    const listen = `unix:${join(folder.path, `${compat}.sock`)}`
    opening.use(
      await startOwnServer({ listen, paths: [limits], rules: { compat, mergeDomains: false }, settings }),
    )
    return opening.use(rateLimitClient(listen))
  }
  const strict = await own('strict')
  const fixed = await own('fixed')
  const owned = opening.move()
  return {
    fileOf: (name) => join(limits, name),
    ask: async (question) => {
      const answers = await Promise.all([theirs.ask(question), strict.ask(question), fixed.ask(question)])
      return { theirs: answers[0], strict: answers[1], fixed: answers[2] }
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}
