import { Counter, Gauge, type Registry } from 'prom-client'

/** What the transport has counted since it began, as its server keeps it. */
export interface TransportCounters {
  readonly connections: number
  readonly openConnections: number
  readonly streams: number
  readonly openStreams: number
  readonly resetsReceived: number
  readonly resetsSent: number
  readonly flowControlStalls: number
  readonly bytesReceived: number
  readonly bytesSent: number
  /** By the name of the HTTP/2 error code. */
  readonly protocolErrors: ReadonlyMap<string, number>
  /** By what they spoke instead of HTTP/2. */
  readonly wrongPeers: ReadonlyMap<string, number>
}

type Reading = readonly (readonly [Readonly<Record<string, string>>, number])[]

interface TransportMetric {
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  readonly kind: 'counter' | 'gauge'
  read(counters: TransportCounters): Reading
}

const one = (value: number): Reading => [[{}, value]]
const byKey = (label: string, values: ReadonlyMap<string, number>): Reading =>
  [...values].map(([key, value]) => [{ [label]: key }, value])
const directions = (received: number, sent: number): Reading => [
  [{ direction: 'received' }, received],
  [{ direction: 'sent' }, sent],
]

const metrics: readonly TransportMetric[] = [
  {
    name: 'sluice_grpc_connections_total',
    help: 'Connections that were accepted.',
    labels: [],
    kind: 'counter',
    read: ({ connections }) => one(connections),
  },
  {
    name: 'sluice_grpc_open_connections',
    help: 'Connections that are open now.',
    labels: [],
    kind: 'gauge',
    read: ({ openConnections }) => one(openConnections),
  },
  {
    name: 'sluice_grpc_streams_total',
    help: 'Calls that were begun.',
    labels: [],
    kind: 'counter',
    read: ({ streams }) => one(streams),
  },
  {
    name: 'sluice_grpc_open_streams',
    help: 'Calls that are open now.',
    labels: [],
    kind: 'gauge',
    read: ({ openStreams }) => one(openStreams),
  },
  {
    name: 'sluice_grpc_stream_resets_total',
    help: 'RST_STREAM frames. Envoy ends each ext_proc stream with one.',
    labels: ['direction'],
    kind: 'counter',
    read: ({ resetsReceived, resetsSent }) => directions(resetsReceived, resetsSent),
  },
  {
    name: 'sluice_grpc_flow_control_stalls_total',
    help: "Answers that had to wait for the peer's window.",
    labels: [],
    kind: 'counter',
    read: ({ flowControlStalls }) => one(flowControlStalls),
  },
  {
    name: 'sluice_grpc_bytes_total',
    help: 'Bytes on all connections.',
    labels: ['direction'],
    kind: 'counter',
    read: ({ bytesReceived, bytesSent }) => directions(bytesReceived, bytesSent),
  },
  {
    name: 'sluice_grpc_protocol_errors_total',
    help: 'Faults of peers by HTTP/2 error code.',
    labels: ['code'],
    kind: 'counter',
    read: ({ protocolErrors }) => byKey('code', protocolErrors),
  },
  {
    name: 'sluice_grpc_wrong_peers_total',
    help: 'Connections that spoke something else than HTTP/2: http/1.1, tls, unknown.',
    labels: ['protocol'],
    kind: 'counter',
    read: ({ wrongPeers }) => byKey('protocol', wrongPeers),
  },
]

/** Has the registry read the counters whenever it is asked; nothing is counted twice on the way of a request. */
export function registerTransportMetrics(registry: Registry, counters: TransportCounters): void {
  for (const { name, help, labels, kind, read } of metrics) {
    const options = { name, help, labelNames: labels, registers: [registry] }
    const collect = (metric: Counter | Gauge) => {
      metric.reset()
      for (const [own, value] of read(counters)) metric.inc(own, value)
    }
    if (kind === 'counter')
      new Counter({
        ...options,
        collect() {
          collect(this)
        },
      })
    else
      new Gauge({
        ...options,
        collect() {
          collect(this)
        },
      })
  }
}
