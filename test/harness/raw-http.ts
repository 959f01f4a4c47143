import { once } from 'node:events'
import { createConnection, type Socket } from 'node:net'
import { connect } from 'node:tls'
import { HpackDecoder } from '#grpc/hpack/decoder.ts'
import { H2Client } from './h2-client.ts'
import { data, flag, headers, preface, settings, type } from './h2-frames.ts'
import { type Fields, literals } from './h2-hpack.ts'
import type { Identity } from './http.ts'

/** Opens a connection for one of the two protocols. */
export type Dial = (protocol: 'http/1.1' | 'h2') => Promise<Socket>

/** An answer to octets that no client library has touched. */
export interface RawAnswer {
  readonly status: number
  /** Lower-case names; of a repeated one the last. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

export function plainDial(port: number): Dial {
  return async () => {
    const socket = createConnection({ host: '127.0.0.1', port, noDelay: true })
    await once(socket, 'connect')
    return socket
  }
}

export function tlsDial(port: number, ca: string, identity: Identity): Dial {
  return async (protocol) => {
    const socket = connect({
      host: '127.0.0.1',
      port,
      ca,
      cert: identity.certificatePem,
      key: identity.privateKeyPem,
      ALPNProtocols: [protocol],
      // An SVID names a workload, not a host.
      checkServerIdentity: () => undefined,
    })
    await once(socket, 'secureConnect')
    return socket
  }
}

/**
 * Sends the octets of a request, which has to ask for the connection to be closed, and reads until it is.
 *
 * @returns `undefined` where the other side ended the connection without an answer.
 */
export async function http1(dial: Dial, request: Buffer): Promise<RawAnswer | undefined> {
  const socket = await dial('http/1.1')
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('error', () => {})
  socket.write(request)
  await once(socket, 'close')
  return parsed(Buffer.concat(chunks).toString('latin1'))
}

function parsed(text: string): RawAnswer | undefined {
  const end = text.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const [first = '', ...lines] = text.slice(0, end).split('\r\n')
  const status = Number(first.split(' ')[1])
  if (status < 200) return parsed(text.slice(end + 4))
  const pairs = lines.map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
  })
  return { status, headers: new Map(pairs), body: text.slice(end + 4) }
}

/**
 * Sends one request with the given fields as they are, pseudo headers among them.
 *
 * @returns `undefined` where the stream or the connection was ended without an answer.
 */
export async function http2(dial: Dial, fields: Fields, body?: Uint8Array): Promise<RawAnswer | undefined> {
  await using client = new H2Client(await dial('h2'))
  const isBare = body === undefined
  client.send(preface, settings(), headers(1, literals(fields), { end: isBare }))
  if (!isBare) client.send(data(1, body, { end: true }))
  const own = () => client.frames.filter(({ id }) => id === 1)
  const isOver = () =>
    client.isClosed ||
    client.goaway !== undefined ||
    own().some(
      (each) =>
        each.type === type.rst ||
        ((each.type === type.data || each.type === type.headers) && (each.flags & flag.end) !== 0),
    )
  await client.until('an end of the stream', isOver)
  const head = own().find((each) => each.type === type.headers)
  if (head === undefined) return undefined
  const { fields: list } = new HpackDecoder({ maxListBytes: 1 << 20 }).decode(head.payload)
  const pairs = Array.from({ length: list.length / 2 }, (_, index): [string, string] => [
    list[index * 2] as string,
    list[index * 2 + 1] as string,
  ])
  const found = new Map(pairs)
  const bodies = own().filter((each) => each.type === type.data)
  return {
    status: Number(found.get(':status')),
    headers: found,
    body: Buffer.concat(bodies.map(({ payload }) => payload)).toString(),
  }
}
