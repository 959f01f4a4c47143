import type { z } from 'zod'
import type { limitsSchema } from './limits-schema.ts'

type Limits = z.infer<typeof limitsSchema>

/** Relative paths are read from the folder of the file. */
export function withAbsoluteLimitsPaths(limits: Limits, file: (path: string) => string): Limits {
  const { redis, stateDir } = limits
  const paths = ['passwordFile', 'sentinelPasswordFile', 'caFile', 'certificate', 'privateKey'] as const
  const absolute = Object.fromEntries(
    paths.flatMap((name) => {
      const path = redis[name]
      return path === undefined ? [] : [[name, file(path)]]
    }),
  )
  return {
    ...limits,
    redis: { ...redis, ...absolute },
    ...(stateDir !== undefined && { stateDir: file(stateDir) }),
  }
}
