import type { JsonObject, JsonValue } from '#base/json.ts'
import type { RequestHeaders } from '#decision/request-headers.ts'
import { type Reader, WireFault } from './reader.ts'

/** How deep a google.protobuf.Struct may nest. */
const maxDepth = 64

/** Sets a key that somebody else chose; `__proto__` is a key like any other. */
export function setOwn<T>(object: Record<string, T>, key: string, value: T): void {
  if (key === '__proto__')
    Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true })
  else object[key] = value
}

/** Headers as one text each: of a name that came more often its values, with commas between. */
export function joinedHeaders(headers: RequestHeaders): Record<string, string> {
  const joined: Record<string, string> = {}
  const [names, values] = [headers.names(), headers.values()]
  for (let i = 0; i < names.length; i++) {
    const [name, value] = [names[i] as string, values[i] as string]
    setOwn(joined, name, Object.hasOwn(joined, name) ? `${joined[name]},${value}` : value)
  }
  return joined
}

/** One entry of a `map<string, string>` into `into`; the last of a key counts. */
export function readTextEntry(reader: Reader, into: Record<string, string>): void {
  const outer = reader.enter()
  let key = ''
  let value = ''
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) key = reader.string()
    else if (tag === 0x12) value = reader.string()
    else reader.skip(tag)
  }
  reader.leave(outer)
  setOwn(into, key, value)
}

/** envoy.config.core.v3.HeaderMap. `raw_value` keeps every octet, as one character each. */
export function readHeaderMap(reader: Reader, into: RequestHeaders): void {
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) readHeader(reader, into)
    else reader.skip(tag)
  }
  reader.leave(outer)
}

function readHeader(reader: Reader, into: RequestHeaders): void {
  const outer = reader.enter()
  let key = ''
  let value = ''
  let raw = ''
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag === 0x0a) key = reader.string()
    else if (tag === 0x1a) raw = reader.latin1()
    else if (tag === 0x12) value = reader.string()
    else reader.skip(tag)
  }
  reader.leave(outer)
  into.add(key, raw === '' ? value : raw)
}

/** google.protobuf.Struct, merged into `into`. */
export function readStruct(reader: Reader, into: JsonObject, depth = 0): JsonObject {
  if (depth > maxDepth) throw new WireFault('a document too deep', reader.at)
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag !== 0x0a) {
      reader.skip(tag)
      continue
    }
    const entry = reader.enter()
    let key = ''
    let value: JsonValue | undefined
    while (reader.at < reader.end) {
      const inner = reader.tag()
      if (inner === 0x0a) key = reader.string()
      else if (inner === 0x12) value = readValue(reader, value, depth + 1)
      else reader.skip(inner)
    }
    if (value === undefined) throw new WireFault('a value of no kind', reader.at)
    setOwn(into as Record<string, JsonValue>, key, value)
    reader.leave(entry)
  }
  reader.leave(outer)
  return into
}

/** google.protobuf.Value; `before` is what an earlier piece of the same value said. */
function readValue(reader: Reader, before: JsonValue | undefined, depth: number): JsonValue | undefined {
  const outer = reader.enter()
  let value = before
  while (reader.at < reader.end) {
    const tag = reader.tag()
    switch (tag) {
      case 0x08:
        reader.uint32()
        value = null
        break
      case 0x11:
        value = reader.double()
        if (!Number.isFinite(value)) throw new WireFault('a number that JSON cannot hold', reader.at)
        break
      case 0x1a:
        value = reader.string()
        break
      case 0x20:
        value = reader.bool()
        break
      case 0x2a:
        value = readStruct(reader, isObject(value) ? value : {}, depth)
        break
      case 0x32:
        value = readList(reader, Array.isArray(value) ? value : [], depth)
        break
      default:
        reader.skip(tag)
    }
  }
  reader.leave(outer)
  return value
}

function readList(reader: Reader, into: JsonValue[], depth: number): JsonValue[] {
  if (depth > maxDepth) throw new WireFault('a document too deep', reader.at)
  const outer = reader.enter()
  while (reader.at < reader.end) {
    const tag = reader.tag()
    if (tag !== 0x0a) reader.skip(tag)
    else {
      const value = readValue(reader, undefined, depth + 1)
      if (value === undefined) throw new WireFault('a value of no kind', reader.at)
      into.push(value)
    }
  }
  reader.leave(outer)
  return into
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
