import { ownHeaderPrefix } from '#decision/own-headers.ts'
import type { Header } from '#decision/verdict.ts'
import type { Writer } from './writer.ts'

/**
 * `append: false` and `append_action: OVERWRITE_IF_EXISTS_OR_ADD`: both, because Envoy's two APIs read one of them each,
 * and their defaults contradict each other.
 */
const overwrite = Uint8Array.of(0x12, 0, 0x18, 2)

/** Which field of envoy.config.core.v3.HeaderValue an API reads: ext_authz `value`, ext_proc `raw_value`. */
const valueTag = { value: 0x12, raw: 0x1a } as const

/**
 * What adds a header beside those that are there: ext_authz does so for an answer when nothing is said, and to say
 * `append: true` would have it join the values with a comma, which no cookie survives; ext_proc has to be told.
 */
const addition = { value: new Uint8Array(), raw: Uint8Array.of(0x12, 2, 0x08, 1) } as const

/** A list of envoy.config.core.v3.HeaderValueOption, each of which overwrites what there is. */
export function writeHeaderOptions(
  writer: Writer,
  tag: number,
  headers: readonly Header[],
  form: keyof typeof valueTag,
): void {
  writeOptions(writer, tag, headers, form, () => overwrite)
}

/** The same for an answer, where a header stands beside those of its name; only what is ours overwrites. */
export function writeAddedHeaders(
  writer: Writer,
  tag: number,
  headers: readonly Header[],
  form: keyof typeof valueTag,
): void {
  writeOptions(writer, tag, headers, form, (name) =>
    name.startsWith(ownHeaderPrefix) ? overwrite : addition[form],
  )
}

function writeOptions(
  writer: Writer,
  tag: number,
  headers: readonly Header[],
  form: keyof typeof valueTag,
  effect: (name: string) => Uint8Array,
): void {
  for (let i = headers.length - 1; i >= 0; i--) {
    const [name, value] = headers[i] as Header
    const option = writer.length
    writer.raw(effect(name))
    const header = writer.length
    writer.string(valueTag[form], value)
    writer.string(0x0a, name)
    writer.message(0x0a, header)
    writer.message(tag, option)
  }
}
