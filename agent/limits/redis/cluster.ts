import type { RedisLink } from './connect.ts'
import { RedisFault } from './fault.ts'
import type { Argument, RedisNode } from './node.ts'
import { slotCount, slotOf } from './slot.ts'
import { parseSlots, type SlotRange } from './slot-ranges.ts'
import type { RedisHost } from './url.ts'

export interface ClusterOptions {
  readonly seeds: readonly RedisHost[]
  readonly open: (host: RedisHost, more: { readonly onReady?: () => void }) => Promise<RedisNode>
}

/** How often the map of slots is asked for while all is well; trouble asks at once. */
const refreshEveryMs = 10_000
/** Not more often than that, whatever goes wrong. */
const minRefreshMs = 200

/**
 * A cluster: one connection for each primary, each with its own deadline, so that a server that stands still holds up only
 * what it keeps. A command that was sent to the wrong server is sent once more to the right one; nothing else is repeated.
 */
export async function openCluster(options: ClusterOptions): Promise<RedisLink> {
  const cluster = new Cluster(options)
  await cluster.start()
  return cluster
}

class Cluster implements RedisLink {
  readonly isCluster = true
  readonly #options: ClusterOptions
  readonly #nodes = new Map<string, Promise<RedisNode>>()
  readonly #open = new Map<string, RedisNode>()
  readonly #owners: (string | undefined)[] = new Array(slotCount)
  #problem: string | undefined = 'not connected yet'
  #refreshing: Promise<void> | undefined
  #refreshedAtMs = -Infinity
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor(options: ClusterOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    await this.#refresh()
    this.#timer = setInterval(() => void this.#refresh(), refreshEveryMs).unref()
  }

  async call(key: string, command: string, args: readonly Argument[]): Promise<unknown> {
    const slot = slotOf(key)
    const node = this.#nodeOf(this.#owners[slot])
    try {
      return await node.call(command, args)
    } catch (thrown) {
      const moved = thrown instanceof RedisFault ? redirectOf(thrown) : undefined
      if (moved === undefined) {
        this.#refreshSoon()
        throw thrown
      }
      return this.#redirected({ moved, slot, command, args })
    }
  }

  problem(): string | undefined {
    if (this.#problem !== undefined) return this.#problem
    for (const [name, node] of this.#open) {
      const problem = node.problem()
      if (problem !== undefined) return `${name}: ${problem}`
    }
    return undefined
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true
    clearInterval(this.#timer)
    await this.#refreshing
    await Promise.all([...this.#nodes.keys()].map((name) => this.#close(name)))
  }

  async #redirected(options: {
    readonly moved: Redirect
    readonly slot: number
    readonly command: string
    readonly args: readonly Argument[]
  }): Promise<unknown> {
    const { moved, slot, command, args } = options
    const name = nameOf(moved.to)
    if (moved.isForGood) {
      this.#owners[slot] = name
      this.#refreshSoon()
    }
    await this.#ensure(moved.to)
    const node = this.#nodeOf(name)
    // Both leave in one packet, one behind the other: the first is for the next command only.
    if (!moved.isForGood) node.call('ASKING', []).catch(() => {})
    return node.call(command, args)
  }

  #nodeOf(name: string | undefined): RedisNode {
    const node = name === undefined ? undefined : this.#open.get(name)
    if (node !== undefined) return node
    this.#refreshSoon()
    throw new RedisFault('disconnected', this.#problem ?? 'no server has this part of the keys')
  }

  #refreshSoon(): void {
    if (this.#isClosed || performance.now() - this.#refreshedAtMs < minRefreshMs) return
    void this.#refresh()
  }

  #refresh(): Promise<void> {
    this.#refreshing ??= this.#askForSlots().finally(() => {
      this.#refreshedAtMs = performance.now()
      this.#refreshing = undefined
    })
    return this.#refreshing
  }

  /** Asks one after the other who keeps what, and believes the first that answers. Never rejects. */
  async #askForSlots(): Promise<void> {
    const asked = [...this.#open.keys()].map(hostNamed).concat(this.#options.seeds)
    for (const host of asked) {
      try {
        const node = await this.#ensure(host)
        const ranges = parseSlots(await node.call('CLUSTER', ['SLOTS']), host.host)
        await this.#adopt(ranges)
        return
      } catch (thrown) {
        this.#problem = thrown instanceof Error ? thrown.message : String(thrown)
      }
      if (this.#isClosed) return
    }
  }

  async #adopt(ranges: readonly SlotRange[]): Promise<void> {
    const names = new Set(ranges.map(({ owner }) => nameOf(owner)))
    this.#owners.fill(undefined)
    for (const { first, last, owner } of ranges) this.#owners.fill(nameOf(owner), first, last + 1)
    await Promise.all(ranges.map(({ owner }) => this.#ensure(owner)))
    await Promise.all(
      [...this.#nodes.keys()].filter((name) => !names.has(name)).map((name) => this.#close(name)),
    )
    this.#problem = this.#owners.includes(undefined) ? 'some keys have no server in this cluster' : undefined
  }

  #ensure(host: RedisHost): Promise<RedisNode> {
    const name = nameOf(host)
    let node = this.#nodes.get(name)
    if (node === undefined) {
      node = this.#options.open(host, {}).then((open) => {
        this.#open.set(name, open)
        return open
      })
      this.#nodes.set(name, node)
    }
    return node
  }

  async #close(name: string): Promise<void> {
    const node = this.#nodes.get(name)
    this.#nodes.delete(name)
    this.#open.delete(name)
    await (await node)?.[Symbol.asyncDispose]()
  }
}

interface Redirect {
  readonly isForGood: boolean
  readonly to: RedisHost
}

function redirectOf(fault: RedisFault): Redirect | undefined {
  const [, word, name] = /^(MOVED|ASK) \d{1,5} (\S{1,300}:\d{1,5})$/.exec(fault.message) ?? []
  if (fault.kind !== 'reply' || name === undefined) return undefined
  return { isForGood: word === 'MOVED', to: hostNamed(name) }
}

function nameOf({ host, port }: RedisHost): string {
  return `${host}:${port}`
}

function hostNamed(name: string): RedisHost {
  const colon = name.lastIndexOf(':')
  return { host: name.slice(0, colon), port: Number(name.slice(colon + 1)) }
}
