import { messageOf, SluiceError } from '#base/errors.ts'
import { httpGet } from '#base/http-get.ts'

export interface DumpOptions {
  readonly deadlineMs?: number
  readonly maxBytes?: number
  readonly signal?: AbortSignal
}

/** With the endpoints, by which clusters are told apart. */
const path = '/config_dump?include_eds'
const defaultDeadlineMs = 5000
/** A sidecar's dump has some 200 KB; one of a gateway with thousands of routes some megabytes. */
const defaultMaxBytes = 64 << 20

/**
 * Asks a running Envoy for its whole configuration, as it is in force. `admin` is `host:port` or `unix:/path`.
 *
 * @returns the JSON text, unparsed, so that who has seen it before needs not read it again.
 * @throws SluiceError `envoy_admin_unreachable` where nobody answers, `envoy_dump_unreadable` where it is no dump.
 */
export async function readConfigDump(admin: string, options: DumpOptions = {}): Promise<Buffer> {
  const { deadlineMs = defaultDeadlineMs, maxBytes = defaultMaxBytes, signal } = options
  let answer: Awaited<ReturnType<typeof httpGet>>
  try {
    answer = await httpGet({ address: admin, path, deadlineMs, maxBytes, signal })
  } catch (cause) {
    throw new SluiceError({
      code: 'envoy_admin_unreachable',
      place: `Envoy's admin interface ${admin}`,
      found: messageOf(cause),
      expected: "an Envoy's admin interface",
      cause,
    })
  }
  if (answer.status !== 200) throw unreadable(admin, `status ${answer.status}`)
  return answer.body
}

/** @throws SluiceError `envoy_dump_unreadable` for what is no JSON. What JSON says is judged by the audit. */
export function parseDump(admin: string, text: Buffer): unknown {
  try {
    return JSON.parse(text.toString())
  } catch (cause) {
    throw unreadable(admin, messageOf(cause), cause)
  }
}

function unreadable(admin: string, found: string, cause?: unknown): SluiceError {
  return new SluiceError({
    code: 'envoy_dump_unreadable',
    place: `${admin} ${path}`,
    found,
    expected: "the configuration of an Envoy, in JSON; is this Envoy's admin address?",
    cause,
  })
}
