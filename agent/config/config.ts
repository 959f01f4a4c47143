import { statSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import type { z } from 'zod'
import { type Fault, SluiceError } from '#base/errors.ts'
import { parseDocument } from '#base/schema-faults.ts'
import { readDocuments } from '#base/yaml-document.ts'
import { identityFiles, withAbsoluteIdentityPaths } from './identity-paths.ts'
import { withAbsoluteLimitsPaths } from './limits-paths.ts'
import { opaFiles, withAbsoluteOpaPaths } from './opa-paths.ts'
import { configSchema } from './schema.ts'
import {
  introspectionFiles,
  tokenFiles,
  withAbsoluteIntrospectionPaths,
  withAbsoluteTokenPaths,
} from './token-paths.ts'

export { type Environment, loadOpaFile } from './opa-file.ts'
export type { OpaConfig, OpaFile } from './opa-schema.ts'
export { configSchema } from './schema.ts'

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

/** The files and directories that the configuration names and that are not there, or not what they should be. */
export function missingFiles(config: Config): Fault[] {
  const { policy, tokens, issuers, resources, rateLimit, envoy } = config
  const named: (readonly [place: string, path: string, kind: 'file' | 'directory'])[] = []
  if (policy?.candidate)
    named.push(['policy.candidate.bundle', policy.candidate.bundle, kindOf(policy.candidate.bundle)])
  if (policy?.bundle !== undefined) named.push(['policy.bundle', policy.bundle, kindOf(policy.bundle)])
  for (const [place, path] of opaFiles(policy?.opa)) named.push([`policy.opa.${place}`, path, 'file'])
  for (const [id, { file }] of Object.entries(policy?.verification?.keys ?? {}))
    named.push([`policy.verification.keys.${id}`, file, 'file'])
  for (const [place, path] of identityFiles(config.identity)) named.push([`identity.${place}`, path, 'file'])
  if (tokens) for (const [place, path] of tokenFiles(tokens)) named.push([`tokens.${place}`, path, 'file'])
  for (const [index, { jwks, ca, introspection }] of (issuers ?? []).entries()) {
    for (const [place, path] of introspection ? introspectionFiles(introspection) : [])
      named.push([`issuers.${index}.introspection.${place}`, path, 'file'])
    if (jwks !== undefined && 'file' in jwks) named.push([`issuers.${index}.jwks.file`, jwks.file, 'file'])
    if (ca !== undefined) named.push([`issuers.${index}.ca`, ca, 'file'])
  }
  if (resources) named.push(['resources.dir', resources.dir, 'directory'])
  for (const file of rateLimit?.config ?? []) named.push(['rateLimit.config', file, kindOf(file)])
  if (envoy?.tls) {
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

/** A bundle may be either, and what limits are read from. */
function kindOf(path: string): 'file' | 'directory' {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? 'directory' : 'file'
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
        ...(config.policy.opa && { opa: withAbsoluteOpaPaths(config.policy.opa, file) }),
        ...(config.policy.candidate && {
          candidate: { ...config.policy.candidate, bundle: file(config.policy.candidate.bundle) },
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
    ...(config.identity && { identity: withAbsoluteIdentityPaths(config.identity, file) }),
    ...(config.tokens && { tokens: withAbsoluteTokenPaths(config.tokens, file) }),
    ...(config.issuers && { issuers: config.issuers.map((issuer) => withAbsoluteIssuerPaths(issuer, file)) }),
    ...(config.limits && { limits: withAbsoluteLimitsPaths(config.limits, file) }),
    ...(config.rateLimit && {
      rateLimit: { ...config.rateLimit, config: config.rateLimit.config.map(file) },
    }),
    ...(config.audit && { audit: { ...config.audit, dir: file(config.audit.dir) } }),
    ...(config.resources && { resources: { ...config.resources, dir: file(config.resources.dir) } }),
    ...(config.envoy?.tls && {
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

type Issuer = NonNullable<Config['issuers']>[number]

function withAbsoluteIssuerPaths(issuer: Issuer, file: (path: string) => string): Issuer {
  const { jwks, ca, persist, introspection } = issuer
  return {
    ...issuer,
    ...(jwks !== undefined && 'file' in jwks && { jwks: { file: file(jwks.file) } }),
    ...(ca !== undefined && { ca: file(ca) }),
    ...(persist !== undefined && { persist: file(persist) }),
    ...(introspection && { introspection: withAbsoluteIntrospectionPaths(introspection, file) }),
  }
}
