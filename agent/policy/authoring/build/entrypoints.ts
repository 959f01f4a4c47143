import { join } from 'node:path'
import { z } from 'zod'
import { SluiceError } from '#base/errors.ts'
import type { Opa } from '../opa/opa.ts'

/** Decisions that the agent asks for by these names when they exist; nobody has to list them. */
const conventional = ['envoy/authz/allow', 'system/log/mask', 'system/log/drop']

const step = z.looseObject({ value: z.union([z.string(), z.number()]) })
const inspectSchema = z.looseObject({
  namespaces: z.record(z.string(), z.array(z.string())).optional(),
  annotations: z
    .array(
      z.looseObject({
        path: z.array(step),
        annotations: z.looseObject({ entrypoint: z.boolean().optional() }),
      }),
    )
    .optional(),
})
const moduleSchema = z.looseObject({
  package: z.looseObject({ path: z.array(step) }),
  rules: z.array(z.looseObject({ head: z.looseObject({ ref: z.array(step).optional() }) })).optional(),
})

/**
 * The decisions to compile: those asked for, those marked `entrypoint: true`, and the conventional ones that exist.
 *
 * @param folder holds all of the sources.
 * @throws SluiceError where one that is asked for does not exist, and where there is none.
 */
export async function findEntrypoints(opa: Opa, folder: string, asked: readonly string[]): Promise<string[]> {
  const run = async (...args: string[]) =>
    JSON.parse((await opa.run(args, { cwd: folder, expected: 'policies that can be read' })).stdout)
  const { namespaces = {}, annotations = [] } = inspectSchema.parse(
    await run('inspect', '--annotations', '--format', 'json', '.'),
  )
  const marked = annotations
    .filter((each) => each.annotations.entrypoint === true)
    .map(({ path }) => pathOf(path))

  const rules = new Set<string>()
  const wanted = [...asked.map(plain), ...conventional]
  for (const [name, files] of Object.entries(namespaces)) {
    const prefix = name.replace(/^data\.?/, '').replaceAll('.', '/')
    rules.add(prefix)
    // Parsing costs a process for each file; a package that nobody asks for need not be known rule by rule.
    if (!wanted.some((path) => path.startsWith(`${prefix}/`))) continue
    for (const file of files.filter((each) => each.endsWith('.rego'))) {
      const module = moduleSchema.parse(await run('parse', '--format', 'json', join(folder, file)))
      for (const { head } of module.rules ?? [])
        rules.add([pathOf(module.package.path), ...constant(head.ref ?? [])].join('/'))
    }
  }
  for (const path of asked.map(plain)) {
    if (rules.has(path) || marked.includes(path)) continue
    const near = [...rules].filter(
      (each) => each !== '' && (each.startsWith(parentOf(path)) || rules.size < 20),
    )
    throw new SluiceError({
      code: 'entrypoint_unknown',
      place: `-e ${path}`,
      found: 'no rule of this name',
      expected: `one of ${(near.length > 0 ? near : [...rules]).sort().join(', ')}`,
    })
  }
  const found = [...asked.map(plain), ...marked, ...conventional.filter((path) => rules.has(path))]
  if (found.length === 0)
    throw new SluiceError({
      code: 'entrypoint_missing',
      place: 'the policies',
      found: 'no entrypoint',
      expected: 'a rule with `# METADATA` and `# entrypoint: true` above it, envoy/authz/allow, or -e PATH',
    })
  return [...new Set(found)].sort()
}

function plain(path: string): string {
  return path
    .replace(/^data\./, '')
    .replace(/^\/+|\/+$/g, '')
    .replaceAll('.', '/')
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/') + 1)
}

/** `data.envoy.authz.allow` of the syntax tree as `envoy/authz/allow`. */
function pathOf(path: readonly z.infer<typeof step>[]): string {
  return path
    .slice(1)
    .map(({ value }) => String(value))
    .join('/')
}

/** The constant beginning of a rule's name: `roles[user]` is asked for as `roles`. */
function constant(ref: readonly (z.infer<typeof step> & { readonly type?: unknown })[]): string[] {
  const end = ref.findIndex(({ type }, index) => index > 0 && type !== 'string')
  return (end === -1 ? ref : ref.slice(0, end)).map(({ value }) => String(value))
}
