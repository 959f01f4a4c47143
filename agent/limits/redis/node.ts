import type { Redis, RedisOptions } from 'ioredis'
import { messageOf } from '#base/errors.ts'
import { Deadlines, type Waiting } from './deadlines.ts'
import { lackOf, problemOf, RedisFault, wantsOtherServer } from './fault.ts'
import { checkServer } from './server-check.ts'

export type Argument = string | number | Buffer

/** One server that is connected to again for as long as this is open. */
export interface RedisNode extends AsyncDisposable {
  /**
   * Rejects with a {@link RedisFault}: at once where there is no connection or too much waits already, when the deadline is
   * over, when the connection ends, and with what the server says where it is no answer. Nothing is sent twice.
   */
  call(command: string, args: readonly Argument[]): Promise<unknown>
  /** Why it cannot be asked now. */
  problem(): string | undefined
}

export interface NodeOptions {
  /** Made anew for each connection: passwords and certificates change. */
  readonly connection: () => RedisOptions
  /** For one command. */
  readonly timeoutMs: number
  /** From the first packet of a connection until it may be used. */
  readonly connectTimeoutMs: number
  readonly maxInFlight: number
  /** Whether a server that may throw away what it keeps is refused. */
  readonly keepsAll: boolean
  /** How often it is looked whether that has changed. */
  readonly recheckMs?: number | undefined
  readonly onTimeout?: (() => void) | undefined
  readonly warn?: ((text: string) => void) | undefined
}

const minPauseMs = 20
const maxPauseMs = 2000
const defaultRecheckMs = 10_000
/** So many may wait for their turn for each that may be under way. */
const waitingPerInFlight = 4

/** Resolves when there is a connection, or when the first try has failed: what is not there yet keeps nobody from starting. */
export async function openNode(options: NodeOptions): Promise<RedisNode> {
  // Only who uses Redis pays for it.
  const { Redis } = await import('ioredis')
  const node = new Node(options, (settings) => new Redis(settings))
  await node.connect()
  return node
}

class Node implements RedisNode {
  readonly #options: NodeOptions
  readonly #make: (settings: RedisOptions) => Redis
  readonly #deadlines: Deadlines
  #client: Redis | undefined
  #isUsable = false
  #isClosed = false
  #problem: string | undefined = 'not connected yet'
  #inFlight = 0
  /** Commands that wait for one of those under way to end, the longest first. */
  readonly #line: (() => void)[] = []
  #failures = 0
  #timer: NodeJS.Timeout | undefined
  #recheckTimer: NodeJS.Timeout | undefined
  #isCorked = false
  /** Why the connection is being ended: what waits on it is told so. */
  #ending: RedisFault | undefined

  constructor(options: NodeOptions, make: (settings: RedisOptions) => Redis) {
    this.#options = options
    this.#make = make
    this.#deadlines = new Deadlines({ timeoutMs: options.timeoutMs, onLate: () => this.#tooLate() })
  }

  async call(command: string, args: readonly Argument[]): Promise<unknown> {
    const client = this.#client
    if (!this.#isUsable || client === undefined)
      throw new RedisFault('disconnected', this.#problem ?? 'no connection')
    if (this.#inFlight >= this.#options.maxInFlight) {
      await this.#turn()
      // What it waited for may have been the end of the connection.
      if (!this.#isUsable || client !== this.#client)
        throw new RedisFault('disconnected', this.#problem ?? 'no connection')
    }
    const waiting: Waiting = { isDone: false }
    this.#inFlight++
    this.#cork(client)
    this.#deadlines.add(waiting)
    try {
      const answer = await client.call(command, args as Argument[])
      this.#problem = undefined
      return answer
    } catch (cause) {
      throw this.#faultOf(cause)
    } finally {
      waiting.isDone = true
      this.#inFlight--
      this.#line.shift()?.()
    }
  }

  /** A burst waits here for its turn, for as long as a command may take; more than that is refused at once. */
  #turn(): Promise<void> {
    const { maxInFlight, timeoutMs } = this.#options
    return new Promise((resolve, reject) => {
      const refuse = () => reject(new RedisFault('busy', `${maxInFlight} commands wait for Redis`))
      if (this.#line.length >= waitingPerInFlight * maxInFlight) return refuse()
      const go = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        this.#line.splice(this.#line.indexOf(go), 1)
        refuse()
      }, timeoutMs)
      this.#line.push(go)
    })
  }

  problem(): string | undefined {
    return this.#problem ?? (this.#isUsable ? undefined : 'no connection')
  }

  /** One try. Never rejects. */
  async connect(): Promise<void> {
    if (this.#isClosed) return
    const { connectTimeoutMs, keepsAll, warn } = this.#options
    const client = this.#make(this.#options.connection())
    this.#client = client
    this.#ending = undefined
    let said: unknown
    client.on('error', (cause: Error) => {
      said = cause
    })
    client.once('end', () => this.#onEnd(client, said))
    const timer = setTimeout(() => {
      said ??= new Error(`no connection within ${connectTimeoutMs} ms`)
      destroy(client)
    }, connectTimeoutMs)
    try {
      await client.connect()
      const { problem, warning } = await look(client, keepsAll)
      if (warning !== undefined) warn?.(warning)
      if (this.#client !== client) return
      if (problem === undefined) {
        this.#isUsable = true
        this.#problem = undefined
        this.#failures = 0
        if (keepsAll && warning === undefined) this.#recheckLater(client)
      } else {
        said = new Error(problem)
        destroy(client)
      }
    } catch (cause) {
      // An error of the socket says more than that the connection is closed.
      said ??= cause
      destroy(client)
    } finally {
      clearTimeout(timer)
    }
    if (!this.#isUsable && said !== undefined) this.#problem = problemOf(said)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    this.#isUsable = false
    clearTimeout(this.#timer)
    clearTimeout(this.#recheckTimer)
    const client = this.#client
    this.#deadlines.clear()
    if (client === undefined || client.status === 'end') return
    const ended = new Promise<void>((resolve) => client.once('end', () => resolve()))
    const { stream } = client
    const closed =
      stream === undefined || stream.closed
        ? undefined
        : new Promise((resolve) => stream.once('close', resolve))
    client.disconnect()
    destroy(client)
    await closed
    if (stream !== undefined) await ended
  }

  /** Somebody may have it throw things away from now on, and the connection is none the worse for it. */
  #recheckLater(client: Redis): void {
    this.#recheckTimer = setTimeout(async () => {
      const { problem } = await look(client, true).catch(noAnswer)
      if (this.#client !== client || !this.#isUsable) return
      if (problem === undefined) this.#recheckLater(client)
      else this.#end(new RedisFault('disconnected', problem))
    }, this.#options.recheckMs ?? defaultRecheckMs).unref()
  }

  #onEnd(client: Redis, said: unknown): void {
    if (this.#client !== client) return
    this.#client = undefined
    this.#isUsable = false
    clearTimeout(this.#recheckTimer)
    this.#deadlines.clear()
    this.#problem =
      this.#ending?.message ?? (said === undefined ? 'the connection was closed' : problemOf(said))
    if (this.#isClosed) return
    const pauseMs = Math.min(maxPauseMs, minPauseMs * 2 ** Math.min(this.#failures++, 10))
    // Replicas that lost the same server do not come back in one moment.
    this.#timer = setTimeout(() => void this.connect(), pauseMs * (0.5 + Math.random() / 2)).unref()
  }

  #tooLate(): void {
    this.#options.onTimeout?.()
    // What the server answers now would come after all that was asked later; and what it has not read it shall not do.
    this.#end(new RedisFault('timeout', `no answer within ${this.#options.timeoutMs} ms`))
  }

  #end(fault: RedisFault): void {
    this.#ending = fault
    this.#isUsable = false
    if (this.#client !== undefined) destroy(this.#client)
  }

  #faultOf(cause: unknown): RedisFault {
    const fault = this.#ending ?? faultOf(cause)
    if (fault.kind !== 'reply') return fault
    if (lackOf(fault.message) !== undefined) return fault
    this.#problem = problemOf(fault)
    if (wantsOtherServer(fault.message)) this.#end(new RedisFault('disconnected', this.#problem))
    return fault
  }

  /** What one turn of the event loop asks leaves in one write: at 50 commands a turn a quarter less of our time. */
  #cork({ stream }: Redis): void {
    if (this.#isCorked) return
    this.#isCorked = true
    stream.cork()
    process.nextTick(() => {
      this.#isCorked = false
      stream.uncork()
    })
  }
}

/** What the server said, or that it said nothing. */
function faultOf(cause: unknown): RedisFault {
  if (cause instanceof RedisFault) return cause
  const isReply = cause instanceof Error && cause.name === 'ReplyError'
  return new RedisFault(isReply ? 'reply' : 'disconnected', messageOf(cause))
}

/** It says nothing of what was asked; the next one may. */
const noAnswer = () => ({ problem: undefined })

function look(client: Redis, keepsAll: boolean): ReturnType<typeof checkServer> {
  return checkServer(
    (command, args) =>
      client.call(command, args as string[]).catch((cause) => Promise.reject(faultOf(cause))),
    { keepsAll },
  )
}

function destroy(client: Redis): void {
  // Before there is a socket, and while sentinels are asked, `disconnect` ends the try; it is without effect afterwards.
  client.disconnect()
  client.stream?.destroy()
}
