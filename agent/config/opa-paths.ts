import type { OpaConfig } from './opa-schema.ts'

type Service = OpaConfig['services'][string]

/** The files that OPA's configuration names, with the place of each. */
export function opaFiles(opa: OpaConfig | undefined): (readonly [place: string, path: string])[] {
  return Object.entries(opa?.services ?? {}).flatMap(([name, { tls, credentials = {} }]) => {
    const { bearer, client_tls: client } = credentials
    const files: readonly (readonly [string, string | undefined])[] = [
      ['tls.ca_cert', tls?.ca_cert],
      ['credentials.bearer.token_path', bearer?.token_path],
      ['credentials.client_tls.cert', client?.cert],
      ['credentials.client_tls.private_key', client?.private_key],
      ['credentials.client_tls.ca_cert', client?.ca_cert],
    ]
    return files.flatMap(([place, path]) =>
      path === undefined ? [] : [[`services.${name}.${place}`, path] as const],
    )
  })
}

/** Paths in `sluice.yaml` are read from its folder; OPA reads its own from where it was started. */
export function withAbsoluteOpaPaths(opa: OpaConfig, file: (path: string) => string): OpaConfig {
  const withPaths = <T extends object>(of: T, keys: readonly (keyof T)[]): T => ({
    ...of,
    ...Object.fromEntries(keys.flatMap((key) => (typeof of[key] === 'string' ? [[key, file(of[key])]] : []))),
  })
  const service = (given: Service): Service => {
    const { bearer, client_tls: client } = given.credentials ?? {}
    return {
      ...given,
      ...(given.tls && { tls: withPaths(given.tls, ['ca_cert']) }),
      ...(given.credentials && {
        credentials: {
          ...(bearer && { bearer: withPaths(bearer, ['token_path']) }),
          ...(client && { client_tls: withPaths(client, ['cert', 'private_key', 'ca_cert']) }),
        },
      }),
    }
  }
  return {
    ...withPaths(opa, ['persistence_directory']),
    services: Object.fromEntries(Object.entries(opa.services).map(([name, each]) => [name, service(each)])),
  }
}
