/** What the transport has seen since it began; read when metrics are asked for. */
export interface GrpcCounters {
  connections: number
  openConnections: number
  streams: number
  openStreams: number
  resetsReceived: number
  resetsSent: number
  /** How often an answer had to wait for the peer's window. */
  flowControlStalls: number
  bytesReceived: number
  bytesSent: number
  /** Faults of peers, of a stream or of a connection, by the name of the HTTP/2 error code. */
  readonly protocolErrors: Map<string, number>
  /** Peers that do not speak HTTP/2 in plain text where they should: `http/1.1`, `tls`, `unknown`. */
  readonly wrongPeers: Map<string, number>
}

export function createGrpcCounters(): GrpcCounters {
  return {
    connections: 0,
    openConnections: 0,
    streams: 0,
    openStreams: 0,
    resetsReceived: 0,
    resetsSent: 0,
    flowControlStalls: 0,
    bytesReceived: 0,
    bytesSent: 0,
    protocolErrors: new Map(),
    wrongPeers: new Map(),
  }
}

export function count(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1)
}
