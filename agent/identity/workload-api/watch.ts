import type { pause } from '#base/pause.ts'
import type { GrpcClient } from '#grpc/client.ts'
import type { Status } from '#grpc/service.ts'
import { linearBackOff } from './back-off.ts'
import { callMetadata, statusCode } from './protocol.ts'

/** What is told of one stream. Neither may throw. */
export interface StreamWatcher {
  onMessage(message: Buffer): void
  /** It ended. After InvalidArgument and Unimplemented nobody asks again. */
  onEnd(status: Status): void
}

const nothing = new Uint8Array()

/**
 * Follows one stream of the Workload API, and asks for it again after a pause that grows, until the signal says so or the
 * server says that there is no use.
 *
 * @see SPIFFE_Workload_API.md, 4.5
 */
export async function watchStream(options: {
  readonly client: Pick<GrpcClient, 'serverStream'>
  readonly path: string
  readonly watcher: StreamWatcher
  readonly pause: typeof pause
  readonly signal: AbortSignal
}): Promise<void> {
  const { client, path, watcher, signal } = options
  const backOff = linearBackOff()
  while (!signal.aborted) {
    const call = { path, message: nothing, metadata: callMetadata, signal }
    let hasSaidAnything = false
    const status = await client.serverStream(call, (message) => {
      hasSaidAnything = true
      backOff.reset()
      if (!signal.aborted) watcher.onMessage(message)
    })
    if (signal.aborted) return
    watcher.onEnd(status)
    if (status.code === statusCode.invalidArgument || status.code === statusCode.unimplemented) return
    // SPIRE's agent (1.13.3) says no for a moment while it replaces the identities of a tainted authority.
    if (hasSaidAnything && status.code === statusCode.permissionDenied) backOff.hurry()
    await options.pause(backOff.nextMs(), signal)
  }
}
