import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { z } from 'zod'
import { type Fault, SluiceError } from '#base/errors.ts'
import { parseDocument } from '#base/schema-faults.ts'
import { readDocuments } from '#base/yaml-document.ts'
import { configSchema } from './schema.ts'

/** The static configuration, defaults filled in, paths absolute. */
export type Config = z.infer<typeof configSchema>

/**
 * Reads `sluice.yaml`. Relative paths in it are read from the folder it lies in. Whether the files it names exist is not
 * asked: some belong to Envoy, and the agent waits for the others; see {@link missingFiles}.
 *
 * @throws SluiceError that lists every mistake with file, line, path, what was found and what was expected.
 */
export function loadConfig(path: string): Config {
  const documents = readDocuments(path)
  const [document] = documents
  if (document === undefined || documents.length > 1) {
    const found = `${documents.length} documents`
    throw new SluiceError({ code: 'config_invalid', place: path, found, expected: 'one YAML document' })
  }
  const parsed = parseDocument(document, configSchema)
  if (!parsed.ok) throw new SluiceError(...parsed.faults)
  return withAbsolutePaths(parsed.value, dirname(resolve(path)))
}

/** What a download reads. */
const downloadFiles = ['tokenFile', 'caFile', 'certificateFile', 'privateKeyFile'] as const

/** The files and directories that the configuration names and that are not there, or not what they should be. */
export function missingFiles(config: Config): Fault[] {
  const { policy, resources, rateLimit, envoy } = config
  const named: (readonly [place: string, path: string, kind: 'file' | 'directory'])[] = []
  if (policy?.bundle !== undefined) named.push(['policy.bundle', policy.bundle, 'file'])
  for (const key of downloadFiles) {
    const path = policy?.download?.[key]
    if (path !== undefined) named.push([`policy.download.${key}`, path, 'file'])
  }
  for (const [id, { file }] of Object.entries(policy?.verification?.keys ?? {}))
    named.push([`policy.verification.keys.${id}`, file, 'file'])
  if (resources) named.push(['resources.dir', resources.dir, 'directory'])
  for (const file of rateLimit?.config ?? []) named.push(['rateLimit.config', file, 'file'])
  if (envoy) {
    named.push(['envoy.tls.certificate', envoy.tls.certificate, 'file'])
    named.push(['envoy.tls.privateKey', envoy.tls.privateKey, 'file'])
    for (const [domain, path] of Object.entries(envoy.tls.trustBundles))
      named.push([`envoy.tls.trustBundles.${domain}`, path, 'file'])
  }
  if (config.policy?.protoDescriptor !== undefined)
    named.push(['policy.protoDescriptor', config.policy.protoDescriptor, 'file'])
  return named.flatMap(([place, path, kind]): Fault[] => {
    const stats = statSync(path, { throwIfNoEntry: false })
    const found = stats?.isFile() ? 'file' : stats?.isDirectory() ? 'directory' : 'nothing'
    if (found === kind) return []
    return [{ code: 'file_missing', place: `${place}: ${path}`, found, expected: `a ${kind}` }]
  })
}

function withAbsolutePaths(config: Config, folder: string): Config {
  const file = (path: string) => resolve(folder, path)
  return {
    ...config,
    ...(config.policy && {
      policy: {
        ...config.policy,
        ...(config.policy.bundle !== undefined && { bundle: file(config.policy.bundle) }),
        ...(config.policy.protoDescriptor !== undefined && {
          protoDescriptor: file(config.policy.protoDescriptor),
        }),
        ...(config.policy.download && {
          download: {
            ...config.policy.download,
            ...Object.fromEntries(
              [...downloadFiles, 'persist' as const].flatMap((key) => {
                const path = config.policy?.download?.[key]
                return path === undefined ? [] : [[key, file(path)]]
              }),
            ),
          },
        }),
        ...(config.policy.verification && {
          verification: {
            ...config.policy.verification,
            keys: Object.fromEntries(
              Object.entries(config.policy.verification.keys).map(([id, key]) => [
                id,
                { ...key, file: file(key.file) },
              ]),
            ),
          },
        }),
      },
    }),
    ...(config.rateLimit && { rateLimit: { config: config.rateLimit.config.map(file) } }),
    ...(config.audit && { audit: { ...config.audit, dir: file(config.audit.dir) } }),
    ...(config.resources && { resources: { ...config.resources, dir: file(config.resources.dir) } }),
    ...(config.envoy && {
      envoy: {
        ...config.envoy,
        tls: {
          certificate: file(config.envoy.tls.certificate),
          privateKey: file(config.envoy.tls.privateKey),
          trustBundles: Object.fromEntries(
            Object.entries(config.envoy.tls.trustBundles).map(([domain, path]) => [domain, file(path)]),
          ),
        },
      },
    }),
  }
}
