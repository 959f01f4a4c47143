import type { z } from 'zod'
import type { configSchema } from './schema.ts'

/** The static configuration, defaults filled in, relative paths made absolute. */
export type Config = z.infer<typeof configSchema>
