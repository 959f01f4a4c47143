import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { type ErrorName, errorNames, flag, frame, headerBytes, preface, settings, type } from './h2-frames.ts'
import { answerFields } from './h2-hpack.ts'

export interface Received {
  readonly type: number
  readonly flags: number
  readonly id: number
  readonly payload: Buffer
}

/** What has come on one stream. */
export interface Answer {
  /** Fields of the head and of the trailers together. */
  readonly fields: ReadonlyMap<string, string>
  readonly messages: readonly string[]
  readonly isEnded: boolean
  readonly reset: ErrorName | undefined
}

export type Address = { readonly port: number } | { readonly path: string }

/**
 * An HTTP/2 client that sends whatever octets it is told to and does nothing by itself: no acknowledgement, no window
 * update. It keeps every frame that comes.
 */
export class H2Client implements AsyncDisposable {
  readonly socket: Socket
  readonly frames: Received[] = []
  /** Everything that came, for peers that do not answer in frames. */
  raw = Buffer.alloc(0)
  isClosed = false
  #rest = Buffer.alloc(0)
  readonly #changed = new Set<() => void>()

  constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (chunk: Buffer) => {
      this.#read(chunk)
      this.#tell()
    })
    socket.on('error', () => {})
    socket.once('close', () => {
      this.isClosed = true
      this.#tell()
    })
  }

  /** Connects without a word. */
  static async silent(address: Address): Promise<H2Client> {
    const socket = createConnection({ host: '127.0.0.1', noDelay: true, ...address })
    const client = new H2Client(socket)
    await once(socket, 'connect')
    return client
  }

  /** Connects, and says hello with the given settings. */
  static async open(address: Address, ...entries: readonly (readonly [number, number])[]): Promise<H2Client> {
    const client = await H2Client.silent(address)
    client.send(preface, settings(...entries))
    return client
  }

  send(...bytes: readonly Uint8Array[]): void {
    if (this.socket.writable) this.socket.write(Buffer.concat(bytes))
  }

  /** Sends, and waits until the kernel has it all (or the connection is gone): floods go at the pace of the peer. */
  async push(...bytes: readonly Uint8Array[]): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.socket.writable) this.socket.write(Buffer.concat(bytes), () => resolve())
      else setImmediate(resolve)
    })
  }

  /** Reads nothing more, so that what the peer sends piles up on its side. */
  deafen(): void {
    this.socket.pause()
  }

  listen(): void {
    this.socket.resume()
  }

  /**
   * Waits until `check` gives something other than `undefined` or `false`.
   *
   * @throws Error with everything that has come, after `deadlineMs` or when the connection has closed without it.
   */
  async until<T>(what: string, check: () => T | undefined | false, deadlineMs = 60_000): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const fail = (why: string) => reject(new Error(`${why}: ${what}; came: ${this.story()}`))
    const look = () => {
      const value = check()
      if (value !== undefined && value !== false) resolve(value)
      else if (this.isClosed) fail('closed before')
    }
    const timer = setTimeout(() => fail(`not within ${deadlineMs} ms`), deadlineMs)
    this.#changed.add(look)
    look()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#changed.delete(look)
    }
  }

  /** What has come on a stream until now. */
  soFar(id: number): Answer {
    const own = this.frames.filter((each) => each.id === id)
    const fields = new Map<string, string>()
    const bodies: Buffer[] = []
    let isEnded = false
    let reset: ErrorName | undefined
    for (const { type: kind, flags, payload } of own) {
      if (kind === type.headers) for (const [name, value] of answerFields(payload)) fields.set(name, value)
      else if (kind === type.data) bodies.push(payload)
      else if (kind === type.rst) reset = nameOf(payload.readUInt32BE(0))
      if ((kind === type.headers || kind === type.data) && (flags & flag.end) !== 0) isEnded = true
    }
    return { fields, messages: messagesIn(Buffer.concat(bodies)), isEnded, reset }
  }

  /** Waits until a stream has ended, well or not. */
  answer(id: number): Promise<Answer> {
    return this.until(`an end of stream ${id}`, () => {
      const last = this.frames.findLast((each) => each.id === id && each.type !== type.window)
      if (last === undefined || (last.type !== type.rst && (last.flags & flag.end) === 0)) return undefined
      return this.soFar(id)
    })
  }

  /** Code of the GOAWAY that ended the connection; waits for both. */
  async farewell(): Promise<ErrorName> {
    const last = await this.until('a GOAWAY', () => this.goaway)
    await this.until('the end of the connection', () => this.isClosed)
    return last
  }

  get goaway(): ErrorName | undefined {
    const last = this.frames.findLast((each) => each.type === type.goaway)
    return last && nameOf(last.payload.readUInt32BE(4))
  }

  /** Waits until everything that was sent before has been worked through. */
  async roundTrip(): Promise<void> {
    const acks = () => this.frames.filter(({ type: kind, flags }) => kind === type.ping && flags === flag.ack)
    const before = acks().length
    this.send(frame(type.ping, 0, Buffer.from('are you?')))
    await this.until('an answer to a PING', () => acks().length > before)
  }

  /** What has come, in a line. */
  story(): string {
    const kinds = Object.keys(type)
    const words = this.frames
      .slice(-20)
      .map((each) => `${kinds[each.type]}#${each.id}/${each.flags} ${each.payload.toString('latin1', 0, 80)}`)
    return `${this.frames.length} frames … ${words.join(' | ')}${this.isClosed ? ' | closed' : ''}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.socket.destroy()
    if (!this.isClosed) await once(this.socket, 'close')
  }

  #read(chunk: Buffer): void {
    if (this.raw.length < 4096) this.raw = Buffer.concat([this.raw, chunk])
    let bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    while (bytes.length >= headerBytes) {
      const end = headerBytes + bytes.readUIntBE(0, 3)
      if (bytes.length < end) break
      this.frames.push({
        type: bytes[3] as number,
        flags: bytes[4] as number,
        id: bytes.readUInt32BE(5),
        payload: Buffer.from(bytes.subarray(headerBytes, end)),
      })
      bytes = bytes.subarray(end)
    }
    this.#rest = Buffer.from(bytes)
  }

  #tell(): void {
    for (const look of [...this.#changed]) look()
  }
}

function nameOf(code: number): ErrorName {
  const name = errorNames[code]
  if (name === undefined) throw new Error(`an unknown error code: ${code}`)
  return name
}

function messagesIn(body: Buffer): string[] {
  const messages: string[] = []
  for (let at = 0; at + 5 <= body.length; ) {
    const end = at + 5 + body.readUInt32BE(at + 1)
    if (end > body.length) break
    messages.push(body.toString('latin1', at + 5, end))
    at = end
  }
  return messages
}
