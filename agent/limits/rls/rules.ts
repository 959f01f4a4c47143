import { z } from 'zod'
import { type Fault, SluiceError, throwFaults } from '#base/errors.ts'
import { parseDocument } from '#base/schema-faults.ts'
import { readDocuments } from '#base/yaml-document.ts'
import { type Descriptor, type Unit, unitSeconds } from './types.ts'

/** What a node of the configuration says of the descriptors that end there. */
export interface Rule {
  readonly unit: Unit
  readonly requestsPerUnit: number
  readonly isUnlimited: boolean
  /** Counted, but never a reason to refuse. */
  readonly isShadow: boolean
  readonly name: string
  /** Names of limits that do not count where this one applies. */
  readonly replaces: readonly string[]
}

interface Node {
  readonly rule: Rule | undefined
  readonly byValue: ReadonlyMap<string, Node>
  /** By key alone. */
  readonly byKey: ReadonlyMap<string, Node>
  /** Values that end in `*`: longest prefix first. */
  readonly byPrefix: readonly { readonly key: string; readonly prefix: string; readonly node: Node }[]
}

/** Rules by domain. */
export type Rules = ReadonlyMap<string, Node>

const unit = z
  .string()
  .transform((text) => text.toLowerCase())
  .refine(
    (text): text is Unit => Object.hasOwn(unitSeconds, text),
    `one of ${Object.keys(unitSeconds).join(', ')}`,
  )

const rateLimit = z
  .strictObject({
    unit: unit.optional(),
    requests_per_unit: z.number().int().min(0).max(0xffff_ffff).optional(),
    unlimited: z.boolean().default(false),
    name: z.string().default(''),
    replaces: z.array(z.strictObject({ name: z.string().min(1) })).default([]),
  })
  .refine(
    ({ unit, requests_per_unit, unlimited }) =>
      unlimited ? unit === undefined : unit !== undefined && requests_per_unit !== undefined,
    'unit and requests_per_unit, or unlimited alone',
  )

interface DescriptorConfig {
  readonly key: string
  readonly value?: string | undefined
  readonly rate_limit?: z.infer<typeof rateLimit> | undefined
  readonly shadow_mode: boolean
  readonly descriptors: readonly DescriptorConfig[]
}

const descriptor: z.ZodType<DescriptorConfig> = z.lazy(() =>
  z.strictObject({
    key: z.string().min(1),
    value: z.coerce.string().optional(),
    rate_limit: rateLimit.optional(),
    shadow_mode: z.boolean().default(false),
    /** About the names of metrics, which are others here. */
    detailed_metric: z.boolean().optional(),
    value_to_metric: z.boolean().optional(),
    descriptors: z.array(descriptor).default([]),
  }),
)

const domainConfig = z.strictObject({
  domain: z.string().min(1),
  descriptors: z.array(descriptor).default([]),
})

/**
 * Reads configuration files of envoyproxy/ratelimit, one domain a document.
 *
 * @throws SluiceError naming every mistake with file and line, a domain or a descriptor that stands there twice too.
 */
export function readRules(files: readonly string[]): Rules {
  const rules = new Map<string, Node>()
  const faults: Fault[] = []
  for (const document of files.flatMap((file) => readDocuments(file))) {
    const parsed = parseDocument(document, domainConfig)
    if (!parsed.ok) {
      faults.push(...parsed.faults)
      continue
    }
    const { domain, descriptors } = parsed.value
    const refuse = (path: readonly PropertyKey[], found: string) =>
      faults.push(
        new SluiceError({
          code: 'rate_limit_duplicated',
          place: `${document.placeOf(path)}: ${path.join('.')}`,
          found,
          expected: 'each domain and each descriptor once',
        }),
      )
    if (rules.has(domain)) refuse(['domain'], `the domain ${domain} a second time`)
    else rules.set(domain, nodeOf(descriptors, ['descriptors'], undefined, refuse))
  }
  throwFaults(faults)
  return rules
}

type Refuse = (path: readonly PropertyKey[], found: string) => void

function nodeOf(
  descriptors: readonly DescriptorConfig[],
  path: readonly PropertyKey[],
  rule: Rule | undefined,
  refuse: Refuse,
): Node {
  const byValue = new Map<string, Node>()
  const byKey = new Map<string, Node>()
  const byPrefix: { key: string; prefix: string; node: Node }[] = []
  for (const [index, config] of descriptors.entries()) {
    const { key, value = '' } = config
    const own = [...path, index]
    const node = nodeOf(config.descriptors, [...own, 'descriptors'], ruleOf(config), refuse)
    const isKnown =
      value === ''
        ? byKey.has(key)
        : byValue.has(entryKey(key, value)) ||
          byPrefix.some((each) => each.key === key && `${each.prefix}*` === value)
    if (isKnown) refuse([...own, 'key'], `the descriptor ${key} ${value} a second time`)
    if (value === '') byKey.set(key, node)
    else if (value.endsWith('*')) byPrefix.push({ key, prefix: value.slice(0, -1), node })
    else byValue.set(entryKey(key, value), node)
  }
  byPrefix.sort((a, b) => b.prefix.length - a.prefix.length)
  return { rule, byValue, byKey, byPrefix }
}

function ruleOf({ rate_limit: limit, shadow_mode: isShadow }: DescriptorConfig): Rule | undefined {
  if (limit === undefined) return undefined
  return {
    unit: limit.unit ?? 'second',
    requestsPerUnit: limit.requests_per_unit ?? 0,
    isUnlimited: limit.unlimited,
    isShadow,
    name: limit.name,
    replaces: limit.replaces.map(({ name }) => name),
  }
}

/** The rule for a descriptor: at each of its entries the exact value, then the longest prefix, then the key alone. */
export function findRule(rules: Rules, domain: string, { entries }: Descriptor): Rule | undefined {
  let node = rules.get(domain)
  for (const { key, value } of entries) {
    if (node === undefined) return undefined
    node =
      node.byValue.get(entryKey(key, value)) ??
      node.byPrefix.find((each) => each.key === key && value.startsWith(each.prefix))?.node ??
      node.byKey.get(key)
  }
  return node?.rule
}

/** Two texts as one that no other two make. */
function entryKey(key: string, value: string): string {
  return `${key.length}:${key}${value}`
}
