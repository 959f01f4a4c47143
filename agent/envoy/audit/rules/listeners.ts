import { isJsonObject, type JsonObject } from '#base/json.ts'
import {
  connectionManagerType,
  isHarmlessListenerFilter,
  isHarmlessNetworkFilter,
  tcpProxyType,
} from '../filters.ts'
import { addressText, isLocal, isLocalText } from '../inventory.ts'
import { typeOf } from '../kinds.ts'
import { isSet, type Rule } from '../rule.ts'
import { at, enclosing, type Node, objectsAt, textAt } from '../tree.ts'

const sockets = 'envoy.extensions.transport_sockets.'
const secure: ReadonlySet<string | undefined> = new Set([
  `${sockets}tls.v3.DownstreamTlsContext`,
  `${sockets}quic.v3.QuicDownstreamTransport`,
])
const upstreamTlsType = `${sockets}tls.v3.UpstreamTlsContext`
const plain: ReadonlySet<string | undefined> = new Set([
  undefined,
  `${sockets}raw_buffer.v3.RawBuffer`,
  `${sockets}starttls.v3.StartTlsConfig`,
])

/** What carries the bytes of a chain, below what only counts them. */
function transportOf(chain: JsonObject): JsonObject | undefined {
  let socket = at(chain, 'transport_socket')
  while (typeOf(at(socket, 'typed_config')) === `${sockets}tcp_stats.v3.Config`)
    socket = at(socket, 'typed_config.transport_socket')
  return isJsonObject(socket) ? socket : undefined
}

function isListenerLocal(node: Node): boolean {
  const listener = enclosing(node, 'listener')?.object
  if (listener === undefined) return false
  const more = objectsAt(listener, 'additional_addresses').map((each) => each['address'])
  return [listener['address'], ...more].every((address) => isLocal(address))
}

/** Who may connect, and what connections lead to. */
export const listenerRules: readonly Rule[] = [
  {
    id: 'unguarded_listener',
    severity: 'opens',
    kinds: ['filterChain'],
    setting: 'filters',
    isBroken: (chain, _, view) => objectsAt(chain, 'filters').some((filter) => view.isUnguarded(filter)),
    why: 'requests reach the model server here and nobody decides on them.',
    fix: 'put ext_proc or ext_authz in front of the router, asking a cluster that has the address in listen.agent or is called sluice_agent; or remove the route.',
  },
  {
    id: 'plain_text_listener',
    severity: 'opens',
    kinds: ['filterChain'],
    setting: 'transport_socket',
    isBroken: (chain, node) => {
      const socket = transportOf(chain)
      const isPlain = socket === undefined || plain.has(typeOf(socket['typed_config']))
      return isPlain && !isListenerLocal(node)
    },
    why: 'plain text: nobody is proven to be anybody.',
    fix: 'use TLS with require_client_certificate, or a loopback address.',
  },
  {
    id: 'transport_unknown',
    severity: 'weakens',
    kinds: ['filterChain'],
    setting: 'transport_socket',
    isBroken: (chain) => {
      const socket = transportOf(chain)
      if (socket === undefined) return false
      const type = typeOf(socket['typed_config'])
      return !secure.has(type) && !plain.has(type)
    },
    why: 'it is not known how this transport proves who is calling, or who else reads along.',
    fix: 'use TLS.',
  },
  {
    id: 'network_filter_unknown',
    severity: 'weakens',
    kinds: ['networkFilter'],
    setting: 'filters',
    isBroken: (filter) => {
      const type = typeOf(at(filter, 'typed_config'))
      return type !== connectionManagerType && type !== tcpProxyType && !isHarmlessNetworkFilter(filter)
    },
    why: 'it is not known where this filter sends what it reads, or what it changes on the way.',
    fix: 'remove it.',
  },
  {
    id: 'source_address_claimed',
    severity: 'weakens',
    kinds: ['listenerFilter'],
    setting: 'listener_filters',
    isBroken: (filter) => !isHarmlessListenerFilter(filter),
    why: "the caller's address may be what the first bytes of the connection say, as with the PROXY protocol.",
    fix: 'remove it, or put nothing in reach of this listener but the proxy that is believed.',
  },
  {
    id: 'agent_cluster_in_clear',
    severity: 'weakens',
    kinds: ['cluster'],
    setting: 'load_assignment',
    isBroken: (cluster, _, view) => {
      const name = textAt(cluster, 'name')
      const isSecure = typeOf(at(cluster, 'transport_socket.typed_config')) === upstreamTlsType
      if (!view.agentClusters.has(name) || isSecure) return false
      const addresses = view.inventory.addressesOf(name)
      return addresses === undefined || ![...addresses].every(isLocalText)
    },
    why: 'decisions cross a network where others can read and change them.',
    fix: 'let the agent listen on a Unix socket beside this Envoy.',
  },
]

/** How Envoy itself can be changed while it runs. */
export const bootstrapRules: readonly Rule[] = [
  {
    id: 'admin_on_network',
    severity: 'opens',
    kinds: ['admin'],
    setting: 'admin.address',
    isBroken: (admin) => isSet('address')(admin) && !isLocal(admin['address']),
    why: 'anybody who reaches it can read, change or stop this Envoy.',
    fix: 'bind it to a Unix socket.',
  },
  {
    id: 'admin_on_tcp',
    severity: 'weakens',
    kinds: ['admin'],
    setting: 'admin.address',
    isBroken: (admin) =>
      isLocal(admin['address']) && addressText(admin['address'])?.startsWith('unix:') === false,
    why: 'every process of this machine, or every container of the pod, can change or stop this Envoy.',
    fix: 'bind it to a Unix socket.',
  },
  {
    id: 'admin_socket_mode',
    severity: 'weakens',
    kinds: ['admin'],
    setting: 'admin.address.pipe.mode',
    isBroken: (admin) => {
      const mode = at(admin, 'address.pipe.mode') ?? 0
      return typeof mode !== 'number' || (mode & 0o002) !== 0
    },
    why: 'every user of this machine can change or stop this Envoy.',
    fix: 'set it to 432, which is 0660.',
  },
  {
    id: 'runtime_features',
    severity: 'weakens',
    kinds: ['layeredRuntime'],
    setting: 'layered_runtime',
    isBroken: (runtime) =>
      objectsAt(runtime, 'layers').some((layer) =>
        /re(loadable|start)_features/.test(JSON.stringify(layer['static_layer'] ?? '')),
      ),
    why: "a part of Envoy's own hardening may be switched off.",
    fix: 'remove the override once it is no longer needed.',
  },
]
