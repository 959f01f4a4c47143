import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface ScriptedModel extends AsyncDisposable {
  readonly port: number
}

/** What a script does with one answer. */
export interface Scene {
  readonly path: string
  readonly body: string
  readonly headers: IncomingMessage['headers']
  head(status: number, type: string): void
  /** Sends octets, and resolves when they are the kernel's. */
  write(octets: string | Uint8Array): Promise<void>
  end(): void
  /** Breaks the connection off. */
  reset(): void
  /** Whether the other side went away. */
  isLeft(): boolean
}

/** A model server that answers each POST as a script says, octet by octet. */
export async function startScriptedModel(script: (scene: Scene) => Promise<void>): Promise<ScriptedModel> {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('error', () => {})
    response.on('error', () => {})
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => void script(sceneOf(request, response, Buffer.concat(chunks).toString())))
  })
  // Envoy keeps connections: one that is closed for idleness as a request comes would be nobody's fault.
  server.keepAliveTimeout = 0
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function sceneOf(request: IncomingMessage, response: ServerResponse, body: string): Scene {
  let isLeft = false
  response.once('close', () => {
    isLeft = !response.writableFinished
  })
  return {
    path: request.url ?? '',
    headers: request.headers,
    body,
    head: (status, type) => {
      response.writeHead(status, { 'content-type': type })
      response.flushHeaders()
    },
    write: (octets) => new Promise((resolve) => response.write(octets, () => resolve())),
    end: () => response.end(),
    reset: () => response.destroy(),
    isLeft: () => isLeft,
  }
}
