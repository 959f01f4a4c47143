import { dirname, resolve } from 'node:path'
import type { z } from 'zod'
import { SluiceError } from '#base/errors.ts'
import { faultsError, parseDocument, readDocuments } from '#base/yaml-document.ts'
import { configSchema } from './schema.ts'

/** The static configuration, defaults filled in, paths absolute. */
export type Config = z.infer<typeof configSchema>

/**
 * Reads `sluice.yaml`. Relative paths in it are read from the folder it lies in.
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
  if (!parsed.ok) throw faultsError(parsed.faults)
  return withAbsolutePaths(parsed.value, dirname(resolve(path)))
}

function withAbsolutePaths(config: Config, folder: string): Config {
  const file = (path: string) => resolve(folder, path)
  return {
    ...config,
    ...(config.policy && { policy: { ...config.policy, bundle: file(config.policy.bundle) } }),
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
