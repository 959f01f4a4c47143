import { isJsonObject, type JsonObject } from '#base/json.ts'
import { typeOf } from './kinds.ts'
import { at } from './tree.ts'

/** A configuration of Envoy, taken apart for the walk, with what was wrong with its form. */
export interface Sections {
  readonly isLive: boolean
  readonly roots: readonly { readonly place: string; readonly value: unknown }[]
  /** Where something is that cannot be read. */
  readonly unreadable: readonly string[]
}

const prefix = 'envoy.admin.v3.'
/** The parts of a dump. Those that are needed have to be there: without them nothing could be said for this Envoy. */
const parts: ReadonlyMap<string, 'needed' | 'known'> = new Map([
  ['BootstrapConfigDump', 'needed'],
  ['ListenersConfigDump', 'needed'],
  ['ClustersConfigDump', 'needed'],
  ['RoutesConfigDump', 'needed'],
  ['ScopedRoutesConfigDump', 'known'],
  ['SecretsConfigDump', 'known'],
  ['EndpointsConfigDump', 'known'],
  ['EcdsConfigDump', 'known'],
])

/** Reads a bootstrap or a `/config_dump`. */
export function sectionsOf(config: unknown): Sections {
  const configs = at(config, 'configs')
  if (configs !== undefined) return sectionsOfDump(configs)
  const isBootstrap =
    at(config, 'static_resources') !== undefined || at(config, 'dynamic_resources') !== undefined
  return { isLive: false, roots: [{ place: '', value: config }], unreadable: isBootstrap ? [] : ['.'] }
}

function sectionsOfDump(configs: unknown): Sections {
  if (!Array.isArray(configs)) return { isLive: true, roots: [], unreadable: ['configs'] }
  const roots: { place: string; value: JsonObject; name: string }[] = []
  const unreadable: string[] = []
  for (const [index, value] of configs.entries()) {
    const place = `configs[${index}]`
    const type = typeOf(value)
    const name = type?.startsWith(prefix) === true ? type.slice(prefix.length) : ''
    if (!isJsonObject(value) || !parts.has(name)) unreadable.push(place)
    else {
      roots.push({ place, value, name })
      unreadable.push(...missingResources(value, place))
    }
  }
  for (const [name, need] of parts)
    if (need === 'needed' && !roots.some((root) => root.name === name)) unreadable.push(`configs: no ${name}`)
  // What the bootstrap says of listeners stands in their own part too, which tells more of them.
  const isBootstrap = (root: { readonly name: string }) => root.name === 'BootstrapConfigDump'
  return {
    isLive: true,
    roots: [...roots.filter((root) => !isBootstrap(root)), ...roots.filter(isBootstrap)],
    unreadable,
  }
}

/** Lists of a dump, with the fields of their elements that hold what is in force, and its type. */
const lists: readonly { readonly list: string; readonly fields: readonly string[]; readonly type: string }[] =
  [
    { list: 'static_listeners', fields: ['listener'], type: 'envoy.config.listener.v3.Listener' },
    {
      list: 'dynamic_listeners',
      fields: ['active_state.listener', 'warming_state.listener', 'draining_state.listener'],
      type: 'envoy.config.listener.v3.Listener',
    },
    ...['static_route_configs', 'dynamic_route_configs'].map((list) => ({
      list,
      fields: ['route_config'],
      type: 'envoy.config.route.v3.RouteConfiguration',
    })),
    ...['static_clusters', 'dynamic_active_clusters', 'dynamic_warming_clusters'].map((list) => ({
      list,
      fields: ['cluster'],
      type: 'envoy.config.cluster.v3.Cluster',
    })),
  ]

/** Elements of lists that hold nothing that can be read, unless they were refused, and so are not in force. */
function missingResources(part: JsonObject, place: string): string[] {
  return lists.flatMap(({ list, fields, type }) => {
    const elements = part[list]
    if (elements === undefined) return []
    if (!Array.isArray(elements)) return [`${place}.${list}`]
    return elements.flatMap((element, index) => {
      const found = fields.map((field) => at(element, field)).filter((value) => value !== undefined)
      const isReadable = found.length > 0 && found.every((value) => typeOf(value) === type)
      const isRefused = found.length === 0 && at(element, 'error_state') !== undefined
      return isReadable || isRefused ? [] : [`${place}.${list}[${index}]`]
    })
  })
}
