import { messageOf } from '#base/errors.ts'

/** Why a command has no answer. `reply` is what the server said instead of one. */
export type RedisFaultKind = 'disconnected' | 'timeout' | 'busy' | 'reply'

export class RedisFault extends Error {
  override readonly name = 'RedisFault'
  readonly kind: RedisFaultKind

  constructor(kind: RedisFaultKind, text: string) {
    super(text)
    this.kind = kind
  }
}

/** First words of what servers say, and what that means for whoever has to mend it. */
const meanings: readonly (readonly [word: string, text: string])[] = [
  ['WRONGPASS', 'the user or the password is wrong'],
  ['NOAUTH', 'the server wants a password'],
  ['NOPERM', 'the user may not do that'],
  ['READONLY', 'the server is a replica that only reads'],
  ['OOM', 'the memory of the server is full'],
  ['LOADING', 'the server is loading its data'],
  ['CLUSTERDOWN', 'the cluster is down'],
  ['MASTERDOWN', 'the server has lost its primary'],
  ['NOREPLICAS', 'the server has too few replicas to write'],
  ['MISCONF', 'the server cannot write to its disk'],
  ['BUSY', 'the server is busy with a script'],
]

/** What is wrong with a server that said or did this: in our words first, then in its own. */
export function problemOf(thrown: unknown): string {
  const text = messageOf(thrown)
  const meaning = meanings.find(([word]) => text.startsWith(word))?.[1]
  // Only the first line, and not all of it: a server of another kind may say anything.
  const said = (text.split('\n', 1)[0] as string).slice(0, 200)
  if (meaning !== undefined) return `${meaning}: ${said}`
  return said === '' ? 'no connection' : said
}

/** Whether another connection may lead to a server that can do better. */
export function wantsOtherServer(text: string): boolean {
  return /^(READONLY|LOADING|MASTERDOWN|NOAUTH|WRONGPASS)/.test(text)
}

/**
 * What a server lacks of what it was asked to run, which says nothing against the server: `script` and `function` where it was
 * never told or has forgotten, `functions` where it knows none (before 7.0) or has none for this user.
 */
export function lackOf(message: string): 'script' | 'function' | 'functions' | undefined {
  if (message.startsWith('NOSCRIPT')) return 'script'
  if (message.startsWith('ERR Function not found')) return 'function'
  return noFunctions.test(message) ? 'functions' : undefined
}

const noFunctions = /^(NOPERM|ERR unknown command|ERR unsupported command)[^'`]{0,60}['`](fcall|function)\b/i
