import { z } from 'zod'

const modelPattern = z
  .string()
  .regex(/^(\*|[A-Za-z0-9_][A-Za-z0-9_./:-]*\*?)$/, 'a model name, a prefix followed by *, or *')
const tenantName = z.union([
  z
    .string()
    .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'a tenant: lower-case letters, digits and -, or *'),
  z.literal('*'),
])
const calls = z.int().min(1).max(100_000)

/** The page of a server in the same pod: nobody else may say how busy it is. */
const loopback = z
  .string()
  .regex(/^(unix:\/\S+|(127\.0\.0\.1|\[::1\]|localhost):\d{1,5})$/, 'unix:/path or 127.0.0.1:port')
  .refine((text) => Number(/:(\d+)$/.exec(text)?.[1] ?? 0) <= 65_535, 'a port of at most 65535')

const metrics = z
  .strictObject({
    address: loopback.describe("Where the model server's metrics are; for Triton 127.0.0.1:8002."),
    path: z
      .string()
      .regex(/^\/[!-~]*$/, 'a path that begins with /')
      .default('/metrics')
      .describe('Where on that address the page is.'),
    intervalMs: z
      .int()
      .min(100)
      .max(60_000)
      .default(500)
      .describe('How often they are read, and how long an answer may take.'),
    maxBytes: z
      .int()
      .min(1024)
      .max(64 << 20)
      .default(4 << 20)
      .describe('A larger page is not read.'),
  })
  .describe("Triton's or vLLM's metrics, from which the time in the server's own queue is known.")

const concurrency = z
  .strictObject({
    floor: calls
      .default(4)
      .describe('Never fewer than this at once: instances times the largest batch of each.'),
    initial: calls
      .optional()
      .describe('As many at first, and while nothing is known of the queue; four times the floor if absent.'),
    ceiling: calls.default(1024).describe('Never more than this at once.'),
    queueTargetMs: z
      .number()
      .min(1)
      .max(60_000)
      .default(50)
      .describe("How long a call may wait in the model server's own queue, on average."),
  })
  .refine(({ floor, initial = floor, ceiling }) => floor <= initial && initial <= ceiling, {
    path: ['initial'],
    message: 'a number from the floor to the ceiling',
  })
  .prefault({})
  .describe('How many calls of one version of a model may run at once.')

const queue = z
  .strictObject({
    total: z.int().min(0).max(100_000).default(256).describe('How many calls may wait; 0 for none.'),
    perTenant: calls.default(64).describe('How many of one tenant; the next is refused (`queue_full`).'),
    waitMs: z
      .int()
      .min(1)
      .max(600_000)
      .default(2000)
      .describe('How long a call may wait; less where its `grpc-timeout` says so.'),
    lowerBandEvery: z
      .int()
      .min(2)
      .max(10_000)
      .default(16)
      .describe('A band that waits has one turn after this many of the bands above it.'),
    retryAfterSeconds: z.int().min(1).max(3600).default(1).describe('What refused clients are told to wait.'),
  })
  .prefault({})
  .describe('Where calls wait for one of those that run to end.')

const breaker = z
  .strictObject({
    failures: z
      .int()
      .min(2)
      .max(10_000)
      .default(20)
      .describe(
        'So many failures of the model server one after the other open it. 20: a server of which every second call fails would do that by chance once in a million.',
      ),
    errorPercent: z
      .int()
      .min(1)
      .max(100)
      .default(50)
      .describe('So many of the calls within the window open it as well.'),
    minCalls: z.int().min(1).max(100_000).default(50).describe('Fewer calls within the window say nothing.'),
    windowSeconds: z
      .int()
      .min(1)
      .max(600)
      .default(10)
      .describe('Over which calls are counted for `errorPercent`.'),
    openSeconds: z
      .int()
      .min(1)
      .max(600)
      .default(5)
      .describe('How long nothing is let through, before one call may try.'),
    maxOpenSeconds: z
      .int()
      .min(1)
      .max(3600)
      .default(60)
      .describe('Each try that fails doubles the time, up to this.'),
  })
  .refine(({ openSeconds, maxOpenSeconds }) => openSeconds <= maxOpenSeconds, {
    path: ['maxOpenSeconds'],
    message: 'at least openSeconds',
  })
  .describe('Refuses calls of a version that fails, without asking it. Absent for none.')

const modelOverload = z
  .strictObject({
    models: z
      .array(modelPattern)
      .min(1)
      .describe('Models it is for; the first entry that has the model counts.'),
    concurrency,
    queue,
    cost: z
      .enum(['requests', 'inferences', 'tokens'])
      .default('requests')
      .describe('What tenants share fairly: calls, inferences of their batches, or tokens.'),
    breaker: breaker.optional(),
  })
  .readonly()

const tenantClass = z
  .strictObject({
    tenants: z.array(tenantName).min(1).describe('Tenants it is for; `*` for every other.'),
    weight: z.number().min(0.01).max(1000).default(1).describe('Its share beside others of its band.'),
    band: z
      .enum(['premium', 'standard', 'batch'])
      .default('standard')
      .describe('Who goes first while calls wait, and who is refused last.'),
  })
  .readonly()

const anomaly = z
  .strictObject({
    action: z
      .enum(['shadow', 'alert', 'slow', 'deny'])
      .default('shadow')
      .describe(
        '`shadow`: a metric. `alert`: also a line in the log, and `x-sluice-usage: abnormal` for the model server. `slow`: also a quarter of its weight in the queue. `deny`: also no more than is usual at most (`abnormal_usage`).',
      ),
    cost: z.enum(['requests', 'inferences', 'tokens']).default('requests').describe('What is counted.'),
    intervalSeconds: z.int().min(10).max(3600).default(60).describe('Usage is judged interval by interval.'),
    warmUpIntervals: z
      .int()
      .min(10)
      .max(100_000)
      .default(120)
      .describe('How many intervals of the same hour of the day (UTC) must be known first.'),
    falseAlarmIntervals: z
      .int()
      .min(100)
      .max(1e9)
      .default(100_000)
      .describe('Usual usage is taken for unusual once in so many intervals at most, for each tenant.'),
    atLeast: z.int().min(1).max(1e12).default(60).describe('Less than this in an interval is never unusual.'),
  })
  .describe("A tenant whose usage is far outside its own history. Absent for nobody's.")

/** Protection of the model server from more than it can do. Nothing of it is shared between pods. */
export const overloadSchema = z.strictObject({
  models: z.array(modelOverload).min(1).describe('What holds for which models; others are not protected.'),
  metrics: metrics.optional(),
  tenants: z
    .array(tenantClass)
    .default([])
    .describe('Weights and bands; the first entry that has the tenant counts. Otherwise 1 and standard.'),
  anomaly: anomaly.optional(),
  reportLoad: z
    .boolean()
    .default(false)
    .describe(
      'Whether answers say how busy the model is (`endpoint-load-metrics`, ORCA), for whoever balances load.',
    ),
})
