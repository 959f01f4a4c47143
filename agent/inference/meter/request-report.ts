import { type Span, spanOf } from './json-span.ts'

const optionsName = 'stream_options'
const usageName = 'include_usage'

/**
 * A streamed request that does not ask for a report of its usage, changed so that it does. Nothing else in it changes.
 *
 * @param body JSON, an object in which no member stands twice
 * @returns `undefined` where it asks already, or says something there that is not understood
 */
export function withUsageReport(body: Uint8Array): Uint8Array | undefined {
  // Each octet is one character: what is no ASCII stands in strings, and is passed over.
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1')
  const edit = usageEdit(text)
  if (edit === undefined) return undefined
  return Buffer.from(text.slice(0, edit.start) + edit.put + text.slice(edit.end), 'latin1')
}

interface Edit extends Span {
  readonly put: string
}

function usageEdit(text: string): Edit | undefined {
  const outer = spanOf(text, text.indexOf('{'), optionsName)
  if (outer.kind === 'other_case') return undefined
  if (outer.kind === 'absent') return member(outer, `"${optionsName}":{"${usageName}":true}`)
  const options = text.slice(outer.start, outer.end)
  if (options === 'null') return { ...outer, put: `{"${usageName}":true}` }
  if (!options.startsWith('{')) return undefined
  const inner = spanOf(text, outer.start, usageName)
  if (inner.kind === 'other_case') return undefined
  if (inner.kind === 'absent') return member(inner, `"${usageName}":true`)
  const asked = text.slice(inner.start, inner.end)
  return asked === 'false' || asked === 'null' ? { ...inner, put: 'true' } : undefined
}

/** A member more, put before the others. */
function member({ start, isEmpty }: { start: number; isEmpty: boolean }, put: string): Edit {
  return { start, end: start, put: isEmpty ? put : `${put},` }
}
