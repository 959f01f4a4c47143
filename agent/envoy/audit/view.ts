import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import { agentCluster } from '../bootstrap/filters.ts'
import { defaultMaxConnectionSeconds, type Expectations } from './expectations.ts'
import { connectionManagerType, isHarmlessNetworkFilter, routerType, tcpProxyType } from './filters.ts'
import { type Inventory, inventoryOf, ownAddressText } from './inventory.ts'
import { typeOf } from './kinds.ts'
import { at, enclosing, type Node, objectsAt, textAt } from './tree.ts'

/** What rules look at beside the object they judge. */
export interface View {
  readonly expected: Expectations
  readonly maxConnectionSeconds: number
  /** Whether the configuration is that of a running Envoy: what it refers to has to be there. */
  readonly isLive: boolean
  readonly inventory: Inventory
  /** Clusters that lead to the agent. */
  readonly agentClusters: ReadonlySet<string>
  /** Whether a filter's configuration asks the agent. */
  isAsking(configuration: unknown): boolean
  /** The configuration of an HTTP filter, wherever it was delivered from. */
  configurationOf(filter: JsonObject): JsonObject | undefined
  /** Positions, among the filters of a connection manager, of those that ask the agent about every request. */
  guards(manager: JsonObject): readonly number[]
  /** Whether a filter of a chain passes requests to the model server that nobody decided on. */
  isUnguarded(networkFilter: JsonObject): boolean
  /** Whether a node has to do with the agent or the model server. */
  isOfConcern(node: Node): boolean
  /** Whether a node configures a filter of these kinds that asks somebody else, or overrides one. */
  isOfOthers(node: Node): boolean
  /** Names under which routes override the agent's filters. */
  readonly guardNames: ReadonlySet<string>
  /** Whether a request of a route is still decided on where these of the agent's filters are switched off for it. */
  isGuardedWithout(names: ReadonlySet<string>): boolean
}

/** Names of clusters that something leads to; `isOpen` where they are chosen only when a request comes. */
interface Destinations {
  readonly clusters: ReadonlySet<string>
  readonly isOpen: boolean
}

export function viewOf(
  nodes: readonly Node[],
  options: { readonly expected: Expectations; readonly isLive: boolean },
): View {
  const { expected, isLive } = options
  const inventory = inventoryOf(nodes)
  const agentClusters = agentClustersOf(inventory, expected)

  function isAsking(configuration: unknown): boolean {
    const kind = typeOf(configuration)
    if (kind === undefined || !decidingTypes.has(kind)) return false
    const cluster = at(configuration, 'grpc_service.envoy_grpc.cluster_name')
    if (typeof cluster === 'string' && agentClusters.has(cluster)) return true
    const target = at(configuration, 'grpc_service.google_grpc.target_uri')
    if (expected.agent !== undefined && target === expected.agent) return true
    // Where nothing says which cluster is the agent's, whoever is asked is taken for it.
    return agentClusters.size === 0 && expected.agent === undefined && (cluster ?? target) !== undefined
  }

  function configurationOf(filter: JsonObject): JsonObject | undefined {
    const own = filter['typed_config'] ?? at(inventory.extensions.get(textAt(filter, 'name')), 'typed_config')
    return isJsonObject(own) ? own : undefined
  }

  function guards(manager: JsonObject): readonly number[] {
    const filters = objectsAt(manager, 'http_filters')
    const router = filters.findIndex((filter) => typeOf(configurationOf(filter)) === routerType)
    return filters.flatMap((filter, index) => {
      const isBefore = router === -1 || index < router
      return isBefore && filter['disabled'] !== true && isAsking(configurationOf(filter)) ? [index] : []
    })
  }

  const managers = nodes.filter(({ kind }) => kind === 'httpConnectionManager').map(({ object }) => object)
  const guarded = managers.filter((manager) => guards(manager).length > 0)
  const models = new Set(
    guarded.flatMap((manager) => [...destinationsOfManager(manager, inventory).clusters]),
  )
  const modelAddresses = new Set([
    ...(expected.upstreams ?? []).map(ownAddressText),
    ...[...models].flatMap((cluster) => [...(inventory.addressesOf(cluster) ?? [])]),
  ])
  const hasKnownModels = models.size > 0 || modelAddresses.size > 0

  function mayReachModel({ clusters, isOpen }: Destinations): boolean {
    return (
      isOpen ||
      [...clusters].some((cluster) => {
        if (!hasKnownModels || models.has(cluster)) return true
        const addresses = inventory.addressesOf(cluster)
        return addresses === undefined || [...addresses].some((address) => modelAddresses.has(address))
      })
    )
  }

  function isUnguarded(filter: JsonObject): boolean {
    const configuration = filter['typed_config']
    const type = typeOf(configuration)
    if (!isJsonObject(configuration)) return false
    if (type === connectionManagerType)
      return (
        guards(configuration).length === 0 && mayReachModel(destinationsOfManager(configuration, inventory))
      )
    return type === tcpProxyType && mayReachModel(destinationsIn([configuration]))
  }

  const others = new Map<JsonObject, boolean>()
  /** A chain of which every filter is known, and none is guarded or leads to the model server. */
  function isOtherChain(chain: JsonObject): boolean {
    const known = others.get(chain)
    if (known !== undefined) return known
    const filters = objectsAt(chain, 'filters')
    const isOther =
      filters.length > 0 &&
      filters.every((filter) => {
        const type = typeOf(filter['typed_config'])
        if (type === connectionManagerType) return isOtherManager(filter['typed_config'] as JsonObject)
        return (type === tcpProxyType || isHarmlessNetworkFilter(filter)) && !isUnguarded(filter)
      })
    others.set(chain, isOther)
    return isOther
  }
  const isOtherManager = (manager: JsonObject) =>
    guards(manager).length === 0 && !mayReachModel(destinationsOfManager(manager, inventory))

  const otherRoutes = namesOfRoutes(managers.filter(isOtherManager))
  const ownRoutes = namesOfRoutes(managers.filter((manager) => !isOtherManager(manager)))

  function isOfConcern(node: Node): boolean {
    const chain = enclosing(node, 'filterChain')
    if (chain !== undefined) return !isOtherChain(chain.object)
    const listener = enclosing(node, 'listener')
    if (listener !== undefined) {
      const { default_filter_chain: last } = listener.object
      const chains = [...objectsAt(listener.object, 'filter_chains'), ...(isJsonObject(last) ? [last] : [])]
      return chains.length === 0 || !chains.every(isOtherChain)
    }
    const routes = enclosing(node, 'routeConfiguration')
    if (routes === undefined) return true
    const name = textAt(routes.object, 'name')
    return ownRoutes.has(name) || !otherRoutes.has(name)
  }

  const guardNames = new Set(
    managers.flatMap((manager) =>
      objectsAt(manager, 'http_filters')
        .filter((filter) => isAsking(configurationOf(filter)))
        .map((filter) => textAt(filter, 'name')),
    ),
  )

  const guardNamesByManager = managers.map((manager) => {
    const filters = objectsAt(manager, 'http_filters')
    return guards(manager).map((index) => textAt(filters[index], 'name'))
  })

  /** Of every manager that has one of them: which of them the route belongs to cannot always be seen. */
  function isGuardedWithout(names: ReadonlySet<string>): boolean {
    return guardNamesByManager
      .filter((own) => own.some((name) => names.has(name)))
      .every((own) => own.some((name) => !names.has(name)))
  }

  function isOfOthers(node: Node): boolean {
    const filter = enclosing(node, 'extAuthz') ?? enclosing(node, 'extProc')
    if (filter !== undefined) return !isAsking(filter.object)
    const override = enclosing(node, 'extAuthzPerRoute') ?? enclosing(node, 'extProcPerRoute')
    if (override === undefined) return false
    // Either the value of the map of overrides itself, or what is wrapped in it.
    const key = override.parent?.kind === 'filterConfig' ? override.parent.field : override.field
    return !guardNames.has(key)
  }

  return {
    expected,
    isLive,
    maxConnectionSeconds: expected.maxConnectionSeconds ?? defaultMaxConnectionSeconds,
    inventory,
    agentClusters,
    isAsking,
    configurationOf,
    guards,
    isUnguarded,
    isOfConcern,
    isOfOthers,
    guardNames,
    isGuardedWithout,
  }
}

const decidingTypes: ReadonlySet<string> = new Set([
  'envoy.extensions.filters.http.ext_authz.v3.ExtAuthz',
  'envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor',
])

/** By the address, or by the name we give it: the socket may have another path where Envoy sees it. */
function agentClustersOf(inventory: Inventory, { agent }: Expectations): ReadonlySet<string> {
  const address = agent === undefined ? undefined : ownAddressText(agent)
  const leading = [...inventory.clusters.keys()].filter(
    (name) =>
      name === agentCluster || (address !== undefined && inventory.addressesOf(name)?.has(address) === true),
  )
  return new Set(leading)
}

function namesOfRoutes(managers: readonly JsonObject[]): ReadonlySet<string> {
  return new Set(
    managers.flatMap((manager) => {
      const names = [at(manager, 'rds.route_config_name'), at(manager, 'route_config.name')]
      return names.filter((name) => typeof name === 'string')
    }),
  )
}

function destinationsOfManager(manager: JsonObject, inventory: Inventory): Destinations {
  const inline = manager['route_config']
  const name = at(manager, 'rds.route_config_name')
  const delivered = typeof name === 'string' ? inventory.routes.get(name) : undefined
  const found = destinationsIn([...(isJsonObject(inline) ? [inline] : []), ...(delivered ?? [])])
  // Scoped routes, and routes that were not delivered yet or are not in a file, may lead anywhere.
  const isUnseen = manager['scoped_routes'] !== undefined || (name !== undefined && delivered === undefined)
  return { clusters: found.clusters, isOpen: found.isOpen || isUnseen }
}

/** Fields by which the cluster is chosen when the request comes. */
const choosing = new Set([
  ...['cluster_header', 'cluster_specifier_plugin', 'inline_cluster_specifier_plugin', 'matcher', 'vhds'],
  ...['route_specifiers', 'filter_action', 'on_demand'],
])

function destinationsIn(objects: readonly JsonObject[]): Destinations {
  const clusters = new Set<string>()
  let isOpen = false
  const visit = (value: JsonValue | undefined): void => {
    if (Array.isArray(value)) {
      for (const item of value) visit(item)
      return
    }
    if (!isJsonObject(value)) return
    for (const [key, item] of Object.entries(value)) {
      if (choosing.has(key)) isOpen = true
      if (key === 'cluster' && typeof item === 'string') clusters.add(item)
      if (key === 'weighted_clusters')
        for (const { name } of objectsAt(item, 'clusters')) if (typeof name === 'string') clusters.add(name)
      visit(item)
    }
  }
  for (const object of objects) visit(object)
  return { clusters, isOpen }
}
