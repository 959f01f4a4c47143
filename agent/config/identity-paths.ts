import type { z } from 'zod'
import type { identitySchema } from './identity-schema.ts'

type Identity = z.infer<typeof identitySchema>

/** The files that it names and that must be there, each with its place. */
export function identityFiles(identity: Identity | undefined): (readonly [place: string, path: string])[] {
  const { source, trustBundleMap, federation = {} } = identity ?? {}
  const named: (readonly [string, string])[] = []
  if (source?.type === 'files') {
    named.push(['source.certificate', source.certificate], ['source.privateKey', source.privateKey])
    for (const [domain, path] of Object.entries(source.trustBundles))
      named.push([`source.trustBundles.${domain}`, path])
  }
  if (trustBundleMap !== undefined) named.push(['trustBundleMap', trustBundleMap])
  for (const [domain, { bundle }] of Object.entries(federation))
    if (bundle !== undefined) named.push([`federation.${domain}.bundle`, bundle])
  return named
}

/** The same with every path absolute. */
export function withAbsoluteIdentityPaths(identity: Identity, file: (path: string) => string): Identity {
  const { source, trustBundleMap, federation } = identity
  return {
    ...identity,
    ...(source && { source: withAbsoluteSource(source, file) }),
    ...(trustBundleMap !== undefined && { trustBundleMap: file(trustBundleMap) }),
    ...(federation && {
      federation: mapped(federation, (each) => ({
        ...each,
        ...(each.bundle !== undefined && { bundle: file(each.bundle) }),
      })),
    }),
  }
}

function withAbsoluteSource(
  source: NonNullable<Identity['source']>,
  file: (path: string) => string,
): NonNullable<Identity['source']> {
  switch (source.type) {
    case 'spire':
      return source
    case 'dev':
      return { ...source, dir: file(source.dir) }
    case 'files':
      return {
        ...source,
        certificate: file(source.certificate),
        privateKey: file(source.privateKey),
        trustBundles: mapped(source.trustBundles, file),
      }
    default:
      return source satisfies never
  }
}

function mapped<T>(of: Readonly<Record<string, T>>, change: (value: T) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(of).map(([name, value]) => [name, change(value)]))
}
