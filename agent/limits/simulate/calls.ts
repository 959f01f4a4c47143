import { z } from 'zod'
import { SluiceError } from '#base/errors.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import { noUsage, type Usage } from '#decision/usage.ts'
import type { Subject } from '../rules/rules.ts'
import { userOf } from '../subject.ts'

/** One call of the past, or of a plan. */
export interface SimulatedCall {
  /** When it came, milliseconds since the epoch. */
  readonly atMs: number
  /** How long it ran. */
  readonly durationMs: number
  readonly subject: Subject
  /** What it took. Tokens are reserved as they are, for who knows the answer needs no bound. */
  readonly usage: Partial<Usage>
}

const units = z.int().min(0)
const usage = z.strictObject(
  Object.fromEntries(Object.keys(noUsage).map((name) => [name, units.optional()])) as Record<
    keyof Usage,
    z.ZodOptional<z.ZodInt>
  >,
)

/** A line of a plan, or of the audit record, which says more than is asked for. */
const call = z.object({
  time: z.union([z.iso.datetime({ offset: true }).transform((text) => Date.parse(text)), z.number().min(0)]),
  /** Of the audit record: a request is told when it is decided and, where it was metered, when it has ended. */
  phase: z.string().optional(),
  durationMs: z
    .number()
    .min(0)
    .max(7 * 86_400_000)
    .default(0),
  tenant: z.string().optional(),
  issuer: z.string().optional(),
  subject: z.string().optional(),
  peer: z.string().optional(),
  model: z.string().optional(),
  version: z.string().optional(),
  route: z.string().optional(),
  headers: z.record(z.string(), z.string()).optional(),
  usage: usage.optional(),
})

/**
 * Reads calls, one JSON object a line: those of an audit record (`usage` lines; the others where there are none), or
 * written by hand.
 *
 * @param place what the text is called in errors
 * @throws SluiceError that names the line.
 */
export function readCalls(text: string, place: string): SimulatedCall[] {
  const lines = text
    .split('\n')
    .flatMap((line, index) => (line.trim() === '' ? [] : [{ line, number: index + 1 }]))
  const parsed = lines.map(({ line, number }) => {
    const refuse = (found: string) =>
      new SluiceError({
        code: 'calls_invalid',
        place: `${place}:${number}`,
        found,
        expected: 'a JSON object with time, tenant, model, usage',
      })
    let value: unknown
    try {
      value = JSON.parse(line)
    } catch {
      throw refuse('no JSON')
    }
    const read = call.safeParse(value)
    if (!read.success) throw refuse(z.prettifyError(read.error).replaceAll('\n', ' '))
    return read.data
  })
  const wanted = parsed.some(({ phase }) => phase === 'usage') ? 'usage' : 'request'
  return parsed
    .filter(({ phase }) => phase === undefined || phase === wanted)
    .map((each) => {
      const { issuer, subject: name, headers: pairs } = each
      const user = issuer !== undefined && name !== undefined ? userOf(issuer, name) : undefined
      const headers = new RequestHeaders()
      for (const [header, value] of Object.entries(pairs ?? {})) headers.add(header, value)
      const { tenant, peer, model, version, route } = each
      return {
        // An audit record is written when the call has ended.
        atMs: each.phase === 'usage' ? each.time - each.durationMs : each.time,
        durationMs: each.durationMs,
        subject: { tenant, user, peer, model, version, route, ...(pairs && { headers }) },
        usage: Object.fromEntries(
          Object.entries(each.usage ?? {}).filter(([, value]) => value !== undefined),
        ),
      }
    })
}
