import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { configSchema, loadConfig } from '#config/config.ts'
import { quotaPolicySpec } from '#resources/quota-schema.ts'
import { anyResource } from '#resources/schema.ts'
import { temporaryFolder } from './harness/temp.ts'

const root = join(import.meta.dirname, '..')
const pages = ['README.md', ...readdirSync(join(root, 'docs')).map((name) => join('docs', name))]

interface Example {
  readonly place: string
  readonly text: string
  readonly values: readonly unknown[]
}

const examples = pages.flatMap((page): Example[] => {
  const text = readFileSync(join(root, page), 'utf8')
  return [...text.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(({ index, 1: block = '' }) => ({
    place: `${page}:${text.slice(0, index).split('\n').length}`,
    text: block,
    values: parseAllDocuments(block).map((document) => document.toJS() as unknown),
  }))
})

/** Kinds of files that others read, by a key that only they have; their own tests read the examples. */
const foreign = ['cases', 'domain', 'http_filters', 'static_resources', 'transport_socket']

/** A fragment leaves out what its configuration has. */
function whole(fragment: object): object {
  const listen = { agent: 'unix:/run/sluice/agent.sock' }
  if ('limits' in fragment && !('resources' in fragment))
    return { listen, resources: { dir: '.' }, ...fragment }
  if (!('issuers' in fragment) && !('tokens' in fragment)) return { listen, ...fragment }
  const identity = { trustDomains: ['example.org'], source: { type: 'spire' } }
  const issuers = [{ issuer: 'https://idp.example', audience: 'models', jwks: { file: 'keys.json' } }]
  return { listen, identity, issuers, ...fragment }
}

const aLimit = { name: 'any', unit: 'outputTokens', rate: 100_000, window: '1s' }

/** A part of a QuotaPolicy: its limits are a list, those of a configuration are not. */
function isQuotaFragment(value: unknown): boolean {
  const { kind, limits, overrides, reserve } = (value ?? {}) as Readonly<Record<string, unknown>>
  return kind === undefined && (Array.isArray(limits) || overrides !== undefined || reserve !== undefined)
}

const keysOf = (value: unknown) => Object.keys(value ?? {})
const configKeys = Object.keys(configSchema.shape)

t.test('every example of a configuration or a resource in the documentation is accepted', async (t) => {
  using folder = temporaryFolder()
  let count = 0
  for (const { place, values } of examples) {
    for (const value of values) {
      const keys = keysOf(value)
      if (keys.some((key) => foreign.includes(key))) continue
      if (isQuotaFragment(value)) {
        const parsed = quotaPolicySpec.safeParse({ tenants: ['*'], limits: [aLimit], ...(value as object) })
        t.ok(parsed.success, `${place}: ${parsed.error && z.prettifyError(parsed.error)}`)
      } else if (keys.includes('kind')) {
        const parsed = anyResource.safeParse(value)
        t.ok(parsed.success, `${place}: ${parsed.error && z.prettifyError(parsed.error)}`)
      } else {
        t.ok(keys.length > 0 && keys.every((key) => configKeys.includes(key)), `${place}: what file is it?`)
        const path = join(folder.path, 'sluice.yaml')
        writeFileSync(path, JSON.stringify(whole(value as object)))
        t.doesNotThrow(() => loadConfig(path), place)
      }
      count++
    }
  }
  t.ok(count >= 12, `${count} examples`)
})

t.test('every option and verb of the command line is in the documentation', async (t) => {
  const docs = pages.map((page) => readFileSync(join(root, page), 'utf8')).join('\n')
  const folder = join(root, 'agent', 'commands')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /\.ts$/.test(name),
  )
  const source = files.map((name) => readFileSync(join(folder, name), 'utf8')).join('\n')
  const options = [...source.matchAll(/'(?:-\w, )?(--[a-z][\w-]*)(?: [<[][^']*)?',?\s/g)].map(
    ([, name = '']) => name,
  )
  const verbs = [...source.matchAll(/new Command\('([a-z]+)'\)/g)].map(([, name = '']) => name)
  t.ok(options.length > 30 && verbs.length > 10, `${options.length} options, ${verbs.length} verbs`)
  for (const name of [...options, ...verbs]) t.match(docs, new RegExp(`${name}\\b`), name)
})
