/** Frames as a client may send them, right or wrong: nothing here is checked. @see RFC 9113, §4.1 and §6 */

export const type = {
  data: 0,
  headers: 1,
  priority: 2,
  rst: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const
export const flag = { ack: 1, end: 1, endHeaders: 4, padded: 8, priority: 0x20 } as const
export const setting = { table: 1, push: 2, streams: 3, window: 4, frame: 5, list: 6 } as const

/** Names of the error codes, by their numbers. @see RFC 9113, §7 */
export const errorNames = [
  'NO_ERROR',
  'PROTOCOL_ERROR',
  'INTERNAL_ERROR',
  'FLOW_CONTROL_ERROR',
  'SETTINGS_TIMEOUT',
  'STREAM_CLOSED',
  'FRAME_SIZE_ERROR',
  'REFUSED_STREAM',
  'CANCEL',
  'COMPRESSION_ERROR',
  'CONNECT_ERROR',
  'ENHANCE_YOUR_CALM',
  'INADEQUATE_SECURITY',
  'HTTP_1_1_REQUIRED',
] as const

export type ErrorName = (typeof errorNames)[number]

export const preface = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
export const headerBytes = 9
const cancel = errorNames.indexOf('CANCEL')

/** Any frame. `length` is what it says of itself, where that is to be a lie. */
export function frame(
  kind: number,
  id: number,
  payload: Uint8Array = Buffer.alloc(0),
  more: { readonly flags?: number; readonly length?: number } = {},
): Buffer {
  const head = Buffer.alloc(headerBytes)
  head.writeUIntBE(more.length ?? payload.length, 0, 3)
  head[3] = kind
  head[4] = more.flags ?? 0
  head.writeUInt32BE(id >>> 0, 5)
  return Buffer.concat([head, payload])
}

export function uint32(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value >>> 0, index * 4)
  return bytes
}

export function settings(...entries: readonly (readonly [number, number])[]): Buffer {
  const one = ([name, value]: readonly [number, number]) => Buffer.from([name >> 8, name, ...uint32(value)])
  return frame(type.settings, 0, Buffer.concat(entries.map(one)))
}

export const settingsAck = frame(type.settings, 0, undefined, { flags: flag.ack })

export interface BodyOptions {
  readonly end?: boolean
  /** Octets of padding; `announced` is what the frame says of them, where that is to be a lie. */
  readonly padding?: number
  readonly announced?: number
}

export function data(id: number, payload: Uint8Array, options: BodyOptions = {}): Buffer {
  const flags = options.end === true ? flag.end : 0
  return padded(type.data, id, payload, flags, options)
}

export interface HeadersOptions extends BodyOptions {
  /** False: CONTINUATION follows. */
  readonly whole?: boolean
  readonly dependsOn?: number
}

export function headers(id: number, block: Uint8Array, options: HeadersOptions = {}): Buffer {
  let flags = (options.end === true ? flag.end : 0) | (options.whole === false ? 0 : flag.endHeaders)
  const { dependsOn } = options
  if (dependsOn === undefined) return padded(type.headers, id, block, flags, options)
  flags |= flag.priority
  return padded(type.headers, id, Buffer.concat([uint32(dependsOn), Buffer.of(15), block]), flags, options)
}

export function continuation(id: number, block: Uint8Array, isLast = true): Buffer {
  return frame(type.continuation, id, block, { flags: isLast ? flag.endHeaders : 0 })
}

export function rst(id: number, code: number = cancel): Buffer {
  return frame(type.rst, id, uint32(code))
}

export function windowUpdate(id: number, increment: number): Buffer {
  return frame(type.window, id, uint32(increment))
}

export function ping(text = 'pingpong'): Buffer {
  return frame(type.ping, 0, Buffer.from(text))
}

export function priority(id: number, dependsOn: number): Buffer {
  return frame(type.priority, id, Buffer.concat([uint32(dependsOn), Buffer.of(15)]))
}

/** A gRPC message with its prefix. `length` and `compressed` may be lies. */
export function message(
  bytes: Uint8Array | string,
  more: { readonly length?: number; readonly compressed?: number } = {},
): Buffer {
  const body = Buffer.from(bytes)
  return Buffer.concat([Buffer.of(more.compressed ?? 0), uint32(more.length ?? body.length), body])
}

function padded(kind: number, id: number, payload: Uint8Array, flags: number, options: BodyOptions): Buffer {
  const { padding, announced = padding } = options
  if (announced === undefined) return frame(kind, id, payload, { flags })
  const bytes = Buffer.concat([Buffer.of(announced), payload, Buffer.alloc(padding ?? 0)])
  return frame(kind, id, bytes, { flags: flags | flag.padded })
}
