/**
 * Node's own HTTP/1.1. An `import` of `node:http` reads all that the module exports, and with it an HTTP client and a
 * WebSocket that are made on first sight and never used here: 12 MB in every sidecar.
 */
export const { createServer, request } = process.getBuiltinModule('node:http')

/** The same over TLS; loaded when it is first needed. */
export const tlsRequest: typeof request = (...args: unknown[]) =>
  (process.getBuiltinModule('node:https').request as (...args: unknown[]) => ReturnType<typeof request>)(
    ...args,
  )
