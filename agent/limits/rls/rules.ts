import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Fault, messageOf, SluiceError, throwFaults } from '#base/errors.ts'
import { parseDocument } from '#base/schema-faults.ts'
import { readDocuments, type SourceDocument } from '#base/yaml-document.ts'
import {
  type DescriptorConfig,
  domainConfig,
  parseUnit,
  type RateLimitConfig,
  textKeys,
} from './file-schema.ts'
import { createLevel, type Level } from './level.ts'
import { compileLimit, type Limit } from './limit.ts'
import { type Spelling, spellings } from './spelling.ts'
import type { Compat } from './types.ts'

/** What the configuration says of the descriptors that come this far. */
export interface Node {
  readonly limit: Limit | undefined
  /** Whether all values that fit its pattern share a counter. */
  readonly isShared: boolean
  readonly level: Level<Node>
}

export interface Rules {
  readonly compat: Compat
  readonly spelling: Spelling
  readonly domains: ReadonlyMap<string, Node>
}

export interface RuleOptions {
  readonly compat: Compat
  /** Whether files may say more of a domain that another has begun. */
  readonly mergeDomains: boolean
}

/**
 * Reads configuration files of envoyproxy/ratelimit, or folders of them, one domain a document.
 *
 * @throws SluiceError naming every mistake with file and line: a domain or a descriptor that stands there twice too, and
 * nothing where limits should be, which would let everything pass.
 */
export function readRules(paths: readonly string[], options: RuleOptions): Rules {
  const { compat, mergeDomains } = options
  const domains = new Map<string, Node>()
  const faults: Fault[] = []
  for (const document of paths.flatMap(filesOf).flatMap((file) => documentsOf(file, compat))) {
    const parsed = parseDocument(document, domainConfig)
    if (!parsed.ok) {
      faults.push(...parsed.faults)
      continue
    }
    const { domain, descriptors } = parsed.value
    const known = domains.get(domain)
    const node = known ?? createNode(undefined, false, compat)
    const builder = new Builder(document, compat, faults)
    if (known !== undefined && !mergeDomains)
      builder.refuse(['domain'], `the domain ${domain} a second time`, 'each domain once, or mergeDomains')
    domains.set(domain, node)
    builder.fill(node, { descriptors: descriptors ?? [], path: ['descriptors'], statName: domain })
  }
  throwFaults(faults)
  return { compat, spelling: spellings[compat], domains }
}

/** The files of a folder that are not hidden, by name. */
function filesOf(path: string): readonly string[] {
  let files: readonly string[]
  try {
    if (!statSync(path).isDirectory()) return [path]
    files = readdirSync(path)
      .filter((name) => !name.startsWith('.'))
      .sort()
      .map((name) => join(path, name))
      .filter((file) => statSync(file).isFile())
  } catch (cause) {
    const expected = 'a readable file, or a folder of them'
    throw new SluiceError({ code: 'file_unreadable', place: path, found: messageOf(cause), expected, cause })
  }
  // Somebody is at work there, or has mounted something else.
  if (files.length === 0) throw nothingIn(path, 'a file with limits')
  return files
}

function nothingIn(place: string, expected: string): SluiceError {
  return new SluiceError({ code: 'rate_limit_invalid', place, found: 'nothing', expected })
}

function documentsOf(file: string, compat: Compat): readonly SourceDocument[] {
  const documents = readDocuments(file, { isYaml11: true, textKeys })
  // A file that is being written begins so.
  if (documents.length === 0) throw nothingIn(file, 'a domain')
  // What follows the first is never looked at there.
  return compat === 'strict' ? documents.slice(0, 1) : documents
}

function createNode(limit: Limit | undefined, isShared: boolean, compat: Compat): Node {
  return { limit, isShared, level: createLevel<Node>(compat) }
}

interface Filling {
  readonly descriptors: readonly DescriptorConfig[]
  readonly path: readonly PropertyKey[]
  readonly statName: string
}

/** Makes nodes of what one document says, and notes what is wrong with it. */
class Builder {
  readonly #document: SourceDocument
  readonly #compat: Compat
  readonly #faults: Fault[]

  constructor(document: SourceDocument, compat: Compat, faults: Fault[]) {
    this.#document = document
    this.#compat = compat
    this.#faults = faults
  }

  fill(node: Node, { descriptors, path, statName }: Filling): void {
    for (const [index, config] of descriptors.entries()) {
      const own = [...path, index]
      const value = config.value ?? ''
      const ownName = `${statName}.${value === '' ? config.key : `${config.key}_${value}`}`
      this.#checkPattern(config, own)
      if (node.level.has(config.key, value)) {
        const found = `the descriptor ${config.key} ${value} a second time`
        this.refuse([...own, 'key'], found, 'each descriptor once')
        continue
      }
      const next = createNode(this.#limitOf(config, own, ownName), config.share_threshold, this.#compat)
      node.level.add(config.key, value, next)
      const below = {
        descriptors: config.descriptors ?? [],
        path: [...own, 'descriptors'],
        statName: ownName,
      }
      this.fill(next, below)
    }
  }

  refuse(path: readonly PropertyKey[], found: string, expected: string): void {
    const place = `${this.#document.placeOf(path)}: ${path.join('.')}`
    this.#faults.push(new SluiceError({ code: 'rate_limit_invalid', place, found, expected }))
  }

  #checkPattern(config: DescriptorConfig, path: readonly PropertyKey[]): void {
    const { key, value, share_threshold: isShared } = config
    const text = value ?? ''
    if (this.#compat === 'fixed') {
      if (key.includes('*') && text === '')
        this.refuse([...path, 'key'], `the key ${key}`, 'the star in the value: keys are compared whole')
      if (isShared && !text.includes('*'))
        this.refuse(
          [...path, 'share_threshold'],
          'a value without a star',
          'a value with one, which others can fit',
        )
    } else if (isShared && !(text === '' ? key : text).endsWith('*'))
      this.refuse([...path, 'share_threshold'], 'a value without a star', 'a value that ends in a star')
  }

  #limitOf(config: DescriptorConfig, path: readonly PropertyKey[], statName: string): Limit | undefined {
    const { rate_limit: limit } = config
    if (limit === undefined || limit === null) return undefined
    const own = [...path, 'rate_limit']
    const unit = parseUnit(limit.unit ?? '')
    this.#checkLimit(limit, own)
    if (unit === undefined && !limit.unlimited)
      this.refuse([...own, 'unit'], limit.unit ?? 'nothing', 'second, minute, hour, day, week, month or year')
    return compileLimit({
      requestsPerUnit: limit.requests_per_unit ?? 0,
      unit: unit ?? 'second',
      multiplier: 1,
      name: limit.name ?? '',
      isUnlimited: limit.unlimited,
      isShadow: config.shadow_mode,
      isQuota: config.quota_mode,
      replaces: (limit.replaces ?? []).map(({ name }) => name),
      metadata: config.metadata ?? undefined,
      statName,
      isDetailed: config.detailed_metric || config.value_to_metric,
    })
  }

  #checkLimit(limit: RateLimitConfig, path: readonly PropertyKey[]): void {
    const { unlimited, unit, requests_per_unit: requestsPerUnit, name, replaces } = limit
    const hasUnit = parseUnit(unit ?? '') !== undefined
    if (unlimited && (hasUnit || (this.#compat === 'fixed' && unit !== undefined && unit !== null)))
      this.refuse([...path, 'unit'], `the unit ${unit} of no limit`, 'unlimited alone')
    // A limit that forgets its number is one of 0 there.
    if (!unlimited && this.#compat === 'fixed' && (requestsPerUnit === undefined || requestsPerUnit === null))
      this.refuse([...path, 'requests_per_unit'], 'nothing', 'how many, or unlimited: true')
    for (const [index, other] of (replaces ?? []).entries())
      if (other.name === name)
        this.refuse([...path, 'replaces', index, 'name'], `its own name ${name}`, 'names of other limits')
  }
}
