import { splitHostPort } from '#base/address.ts'
import type { JsonObject } from '#base/json.ts'
import { at, type Node, objectsAt, textAt } from './tree.ts'

/** What listeners lead to and refer to, by name. */
export interface Inventory {
  readonly clusters: ReadonlyMap<string, JsonObject>
  readonly routes: ReadonlyMap<string, readonly JsonObject[]>
  readonly secrets: ReadonlyMap<string, JsonObject>
  /** Configurations of filters that were delivered on their own. */
  readonly extensions: ReadonlyMap<string, JsonObject>
  /** Addresses of a cluster's endpoints; `undefined` where they cannot be told. */
  addressesOf(cluster: string): ReadonlySet<string> | undefined
}

export function inventoryOf(nodes: readonly Node[]): Inventory {
  const clusters = new Map<string, JsonObject>()
  const routes = new Map<string, JsonObject[]>()
  const secrets = new Map<string, JsonObject>()
  const extensions = new Map<string, JsonObject>()
  const endpoints = new Map<string, JsonObject[]>()
  for (const { kind, object } of nodes) {
    const name = textAt(object, 'name')
    if (kind === 'cluster') clusters.set(name, object)
    else if (kind === 'routeConfiguration') added(routes, name, object)
    else if (kind === 'secret') secrets.set(name, object)
    else if (kind === 'namedExtension') extensions.set(name, object)
    else if (kind === 'endpoints') added(endpoints, textAt(object, 'cluster_name'), object)
  }

  function addressesOf(cluster: string): ReadonlySet<string> | undefined {
    const found = clusters.get(cluster)
    if (
      found === undefined ||
      !['STATIC', 'STRICT_DNS', 'LOGICAL_DNS', 'EDS', undefined].includes(found['type'] as string)
    )
      return undefined
    const service = textAt(found, 'eds_cluster_config.service_name')
    const named = endpoints.get(service === '' ? cluster : service) ?? []
    const addresses = [at(found, 'load_assignment'), ...named].flatMap(addressesIn)
    return addresses.length === 0 || addresses.includes(undefined)
      ? undefined
      : new Set(addresses as readonly string[])
  }

  return { clusters, routes, secrets, extensions, addressesOf }
}

function added(map: Map<string, JsonObject[]>, name: string, object: JsonObject): void {
  const before = map.get(name)
  if (before === undefined) map.set(name, [object])
  else before.push(object)
}

function addressesIn(assignment: unknown): readonly (string | undefined)[] {
  return objectsAt(assignment, 'endpoints').flatMap((locality) =>
    objectsAt(locality, 'lb_endpoints').map((each) => addressText(at(each, 'endpoint.address'))),
  )
}

/** `unix:/path` or `host:port`; `undefined` for what is neither. */
export function addressText(address: unknown): string | undefined {
  const path = at(address, 'pipe.path')
  if (typeof path === 'string') return `unix:${path}`
  const host = at(address, 'socket_address.address')
  const port = at(address, 'socket_address.port_value')
  return typeof host === 'string' && typeof port === 'number' ? `${host}:${port}` : undefined
}

/** An address of our own configuration as {@link addressText} writes it. */
export function ownAddressText(address: string): string {
  if (address.startsWith('unix:')) return address
  const { host, port } = splitHostPort(address)
  return `${host === 'localhost' ? '127.0.0.1' : host}:${port}`
}

/** Whether nobody on another machine can come to an address, or be reached at it. */
export function isLocal(address: unknown): boolean {
  const text = addressText(address)
  return text === undefined ? at(address, 'envoy_internal_address') !== undefined : isLocalText(text)
}

export function isLocalText(text: string): boolean {
  return text.startsWith('unix:') || /^(127(\.\d{1,3}){3}|::1):\d+$/.test(text)
}
