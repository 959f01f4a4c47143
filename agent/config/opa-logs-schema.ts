import { z } from 'zod'

const maxSeconds = 31 * 86_400

/** A path under `data`, with or without a slash in front. */
const decisionPath = z.string().regex(/^\/?[^/\s]+(\/[^/\s]+)*$/, 'a path such as /system/log/mask')
/** What stands in a URL after a slash. */
const segment = z.string().regex(/^[A-Za-z0-9._~-]+(\/[A-Za-z0-9._~-]+)*$/, 'letters, digits and ._~-')
const headerName = z
  .string()
  .regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/, 'the name of a header')
  .refine(
    (name) => !/^(authorization|proxy-authorization|cookie|set-cookie|x-api-key)$/i.test(name),
    'a header that holds no credential: those are never logged',
  )

const reporting = z
  .strictObject({
    buffer_type: z
      .enum(['size', 'event'])
      .default('size')
      .describe('Bound what waits by its compressed bytes or by the number of events.'),
    buffer_size_limit_bytes: z
      .number()
      .int()
      .min(1)
      .optional()
      .describe('Of compressed chunks that wait; 64 MiB are the bound in any case.'),
    buffer_size_limit_events: z
      .number()
      .int()
      .min(1)
      .optional()
      .describe('With `buffer_type: event`; 10000 if absent.'),
    upload_size_limit_bytes: z
      .number()
      .int()
      .min(0)
      .default(32_768)
      .describe('Of one compressed upload; from 90 bytes to 4 GiB, the nearest of which is taken.'),
    min_delay_seconds: z.number().int().min(0).max(maxSeconds).optional().describe('300 if absent.'),
    max_delay_seconds: z
      .number()
      .int()
      .min(0)
      .max(maxSeconds)
      .optional()
      .describe('600 if absent. Also the longest delay after failures.'),
    max_decisions_per_second: z.number().positive().optional().describe('More are lost, and counted.'),
    trigger: z
      .enum(['periodic', 'immediate'])
      .default('periodic')
      .describe('immediate: a chunk is sent as soon as it is full.'),
  })
  .superRefine((config, context) => {
    const refuse = (key: keyof typeof config, message: string) =>
      context.addIssue({ code: 'custom', path: [key], message })
    const { min_delay_seconds: min, max_delay_seconds: max } = config
    if ((min === undefined) !== (max === undefined))
      refuse(min === undefined ? 'min_delay_seconds' : 'max_delay_seconds', 'both delays or neither')
    else if (min !== undefined && max !== undefined && max < min)
      refuse('max_delay_seconds', 'at least min_delay_seconds')
    if (config.buffer_type === 'event' && config.buffer_size_limit_bytes !== undefined)
      refuse('buffer_size_limit_bytes', 'buffer_type size, or buffer_size_limit_events')
    if (config.buffer_type === 'size' && config.buffer_size_limit_events !== undefined)
      refuse('buffer_size_limit_events', 'buffer_type event, or buffer_size_limit_bytes')
    if (config.buffer_size_limit_bytes !== undefined && config.max_decisions_per_second !== undefined)
      refuse('max_decisions_per_second', 'either buffer_size_limit_bytes or max_decisions_per_second')
  })

/** `decision_logs` as OPA's configuration has it. */
export const decisionLogsSchema = z
  .strictObject({
    service: z.string().optional().describe('The service that takes the log; the first one if absent.'),
    console: z.boolean().default(false).describe('Write the log to standard output.'),
    resource: z.string().min(1).optional().describe('The path of the log at the service; `/logs` if absent.'),
    partition_name: segment.optional().describe('Appended to `/logs`; goes before `resource`.'),
    mask_decision: decisionPath
      .default('/system/log/mask')
      .describe('What says what is masked in an event; asked where the bundle has it as an entrypoint.'),
    drop_decision: decisionPath
      .default('/system/log/drop')
      .describe('What says whether an event is dropped; asked where the bundle has it as an entrypoint.'),
    nd_builtin_cache: z
      .boolean()
      .default(false)
      .describe('Log the answers of builtins that are no function of their operands.'),
    request_context: z
      .strictObject({
        http: z
          .strictObject({ headers: z.array(headerName).default([]).describe('Request headers to log.') })
          .prefault({})
          .describe('Of the request that is decided on.'),
      })
      .prefault({})
      .describe('What to log besides the input.'),
    reporting: reporting.prefault({}).describe('What may wait, and how it is sent.'),
  })
  .describe("A log of policy decisions, by OPA's protocol.")

/** `status` as OPA's configuration has it. */
export const statusSchema = z
  .strictObject({
    service: z.string().optional().describe('The service that takes the reports; the first one if absent.'),
    console: z.boolean().default(false).describe('Write the reports to standard output.'),
    partition_name: segment.optional().describe('Appended to `/status`.'),
    prometheus: z.boolean().default(false).describe("OPA's metrics on `/metrics` and in the reports."),
    trigger: z.literal('periodic').default('periodic').describe('Sent on every change.'),
  })
  .describe("Reports on bundles and the log, by OPA's protocol.")

interface Logs {
  readonly decision_logs?: z.infer<typeof decisionLogsSchema> | undefined
  readonly status?: z.infer<typeof statusSchema> | undefined
}

/** What logs need of the services beside them. */
export function checkLogs(
  { decision_logs, status }: Logs,
  services: readonly string[],
  fault: (at: string[], message: string) => void,
): void {
  for (const [part, config] of Object.entries({ decision_logs, status })) {
    if (config === undefined) continue
    const { service, console } = config
    if (service !== undefined && !services.includes(service)) fault([part, 'service'], 'one of services')
    const isAnywhere = services.length > 0 || console || ('prometheus' in config && config.prometheus)
    if (!isAnywhere) fault([part], 'a service, or console: true')
  }
}
