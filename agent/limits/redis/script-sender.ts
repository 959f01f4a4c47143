import type { Clock } from '#base/clock.ts'
import type { RedisLink } from './connect.ts'
import { lackOf, RedisFault } from './fault.ts'
import type { Script } from './lua/scripts.ts'
import type { Argument } from './node.ts'

/** A server that has no functions for us is asked again whether it has so much later: access lists and servers change. */
const scriptsForUs = 60_000_000

/**
 * Has a server run a script: by its name in a library of functions, which takes half of what the script does. A server that does
 * not have the library is sent it, and the call goes as a script meanwhile; so it does where the server has no functions at
 * all, or none for this user. Nothing runs twice: what is sent again is what the server said it does not have.
 */
export class ScriptSender {
  readonly #link: RedisLink
  readonly #library: string
  readonly #clock: Clock
  #isLoading = false
  /** Until then only scripts are sent. Monotonic. */
  #scriptsUntilUs = -Infinity

  constructor(options: { readonly link: RedisLink; readonly library: string; readonly clock: Clock }) {
    this.#link = options.link
    this.#library = options.library
    this.#clock = options.clock
  }

  /**
   * @param args behind the name of what runs
   * @throws RedisFault where there is no answer
   */
  async run(key: string, script: Script, args: readonly Argument[]): Promise<unknown> {
    if (this.#clock.monotonicUs() < this.#scriptsUntilUs) return this.#asScript(key, script, args)
    try {
      return await this.#link.call(key, 'FCALL', [script.functionName, ...args])
    } catch (thrown) {
      const lack = lackIn(thrown)
      if (lack === undefined) throw thrown
      if (lack === 'function') void this.#load(key)
      else this.#onlyScripts()
      return this.#asScript(key, script, args)
    }
  }

  async #asScript(key: string, script: Script, args: readonly Argument[]): Promise<unknown> {
    try {
      return await this.#link.call(key, 'EVALSHA', [script.sha, ...args])
    } catch (thrown) {
      if (lackIn(thrown) !== 'script') throw thrown
      return this.#link.call(key, 'EVAL', [script.text, ...args])
    }
  }

  /** Never rejects: what a server refuses it is not offered again soon. */
  async #load(key: string): Promise<void> {
    if (this.#isLoading) return
    this.#isLoading = true
    try {
      await this.#link.call(key, 'FUNCTION', ['LOAD', this.#library])
    } catch (thrown) {
      // Another agent may have been first; and a server that does not answer will be asked by others.
      const isRefused = thrown instanceof RedisFault && thrown.kind === 'reply'
      if (isRefused && !thrown.message.includes('already exists')) this.#onlyScripts()
    } finally {
      this.#isLoading = false
    }
  }

  #onlyScripts(): void {
    this.#scriptsUntilUs = this.#clock.monotonicUs() + scriptsForUs
  }
}

function lackIn(thrown: unknown): ReturnType<typeof lackOf> {
  return thrown instanceof RedisFault ? lackOf(thrown.message) : undefined
}
