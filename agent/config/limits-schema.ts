import { z } from 'zod'
import { overloadSchema } from './overload-schema.ts'

const path = z.string().min(1)

/** Where counters are kept, and how their keeper is spoken to. */
export const limitsSchema = z.strictObject({
  store: z
    .union([
      z.literal('memory'),
      z
        .string()
        .regex(
          /^(rediss?(\+sentinel|\+cluster)?:\/\/|unix:\/)\S+$/,
          'memory, or the URL of a Redis or Valkey',
        ),
    ])
    .default('memory')
    .describe(
      '`memory` for counters of this process alone, or a Redis or Valkey that replicas share: redis://[user@]host:port[/db], rediss:// for TLS, unix:/path, redis+sentinel://host:port,host:port/master, redis+cluster://host:port,host:port.',
    ),
  redis: z
    .strictObject({
      passwordFile: path.optional().describe('A file with the password, read again at each connection.'),
      sentinelPasswordFile: path
        .optional()
        .describe('The same for the sentinels, which have passwords of their own.'),
      caFile: path
        .optional()
        .describe('PEM of who vouches for the server, where the machine does not trust it anyway.'),
      certificate: path.optional().describe('PEM of the certificate that the server is shown.'),
      privateKey: path.optional().describe('PEM of its key.'),
      timeoutMs: z
        .int()
        .min(1)
        .max(10_000)
        .default(25)
        .describe('How long one command may take; one that takes longer has failed.'),
      maxInFlight: z
        .int()
        .min(1)
        .max(100_000)
        .default(64)
        .describe(
          'How many commands may be under way to one server. Four times as many wait for their turn, as long as one may take; more fail at once.',
        ),
      keyPrefix: z
        .string()
        .regex(/^[A-Za-z0-9:._-]{1,64}$/, 'letters, digits and : . _ -')
        .default('sluice')
        .describe('What every key begins with; access lists can be cut to it.'),
    })
    .prefault({}),
  replica: z
    .string()
    .regex(/^[A-Za-z0-9._-]{1,64}$/, 'letters, digits and . _ -')
    .optional()
    .describe('The name of this process among those that share the store; a random one if absent.'),
  stateDir: path
    .optional()
    .describe('Where the agent remembers, over restarts, which memory of the store it has seen.'),
  holdSeconds: z
    .int()
    .min(10)
    .max(7 * 86_400)
    .default(3600)
    .describe(
      'How long what was reserved for a call outlives the agent; then it becomes the charge of the call. While the agent runs, its calls may take as long as they like.',
    ),
  leaseMs: z
    .int()
    .min(20)
    .max(10_000)
    .default(500)
    .describe('How long what is drawn beforehand may be used.'),
  overload: overloadSchema.optional().describe('What keeps the model server from more than it can do.'),
})
