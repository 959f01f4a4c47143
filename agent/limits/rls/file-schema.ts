import { z } from 'zod'
import type { JsonObject } from '#base/json.ts'
import { type Unit, unitSeconds } from './types.ts'

/** What is text in these files, however it looks: `value: 010` is `010`. */
export const textKeys: ReadonlySet<string> = new Set(['domain', 'key', 'value', 'name'])

const unitNames = new Map(Object.keys(unitSeconds).map((name) => [name.toUpperCase(), name as Unit]))

/** Written in small letters or large ones. */
export function parseUnit(text: string): Unit | undefined {
  return unitNames.get(text.toUpperCase())
}

const text = z.string().nullish()
const flag = z
  .boolean()
  .nullish()
  .transform((value) => value === true)

const rateLimit = z.strictObject({
  unit: text,
  requests_per_unit: z.number().int().min(0).max(0xffff_ffff).nullish(),
  unlimited: flag,
  name: text,
  replaces: z.array(z.strictObject({ name: z.string().min(1) })).nullish(),
})

export type RateLimitConfig = z.infer<typeof rateLimit>

export interface DescriptorConfig {
  readonly key: string
  readonly value?: string | null | undefined
  readonly rate_limit?: RateLimitConfig | null | undefined
  readonly shadow_mode: boolean
  readonly quota_mode: boolean
  readonly detailed_metric: boolean
  readonly value_to_metric: boolean
  readonly share_threshold: boolean
  readonly metadata?: JsonObject | null | undefined
  readonly descriptors?: readonly DescriptorConfig[] | null | undefined
}

const descriptor: z.ZodType<DescriptorConfig> = z.lazy(() =>
  z.strictObject({
    key: z.string().min(1),
    value: text,
    rate_limit: rateLimit.nullish(),
    shadow_mode: flag,
    quota_mode: flag,
    detailed_metric: flag,
    value_to_metric: flag,
    share_threshold: flag,
    metadata: z.record(z.string(), z.json()).nullish(),
    descriptors: z.array(descriptor).nullish(),
  }),
) as z.ZodType<DescriptorConfig>

/** One document: the limits of a domain, as envoyproxy/ratelimit writes them. */
export const domainConfig = z.strictObject({
  domain: z.string().min(1),
  descriptors: z.array(descriptor).nullish(),
})
