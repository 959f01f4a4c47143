const unitsMs: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 0.001,
  n: 0.000_001,
}

/**
 * What `grpc-timeout` says, milliseconds; `undefined` for what is no such value, which gRPC servers pass over as well.
 *
 * @see the gRPC over HTTP/2 protocol description: at most eight digits and a unit
 */
export function grpcTimeoutMs(text: string): number | undefined {
  const unitMs = unitsMs[text.at(-1) ?? '']
  if (unitMs === undefined || text.length < 2 || text.length > 9) return undefined
  let value = 0
  for (let i = 0; i < text.length - 1; i++) {
    const digit = text.charCodeAt(i) - 0x30
    if (digit < 0 || digit > 9) return undefined
    value = value * 10 + digit
  }
  return value * unitMs
}
