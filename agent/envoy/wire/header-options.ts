import type { Header } from '#decision/verdict.ts'
import type { Writer } from './writer.ts'

/**
 * `append: false` and `append_action: OVERWRITE_IF_EXISTS_OR_ADD`: both, because Envoy's two APIs read one of them each,
 * and their defaults contradict each other.
 */
const overwrite = Uint8Array.of(0x12, 0, 0x18, 2)

/** Which field of envoy.config.core.v3.HeaderValue an API reads: ext_authz `value`, ext_proc `raw_value`. */
const valueTag = { value: 0x12, raw: 0x1a } as const

/** A list of envoy.config.core.v3.HeaderValueOption, each of which overwrites what there is. */
export function writeHeaderOptions(
  writer: Writer,
  tag: number,
  headers: readonly Header[],
  form: keyof typeof valueTag,
): void {
  for (let i = headers.length - 1; i >= 0; i--) {
    const [name, value] = headers[i] as Header
    const option = writer.length
    writer.raw(overwrite)
    const header = writer.length
    writer.string(valueTag[form], value)
    writer.string(0x0a, name)
    writer.message(0x0a, header)
    writer.message(tag, option)
  }
}
