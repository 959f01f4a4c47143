/** An echo server in a process of its own, so that its memory can be judged. Answers every message with a report. */
import { startEcho } from './echo-server.ts'

export interface Report {
  readonly heapBytes: number
  /** Outside of the heap: buffers. */
  readonly bufferBytes: number
  readonly openStreams: number
  readonly openConnections: number
  readonly begun: number
}

const server = await startEcho()

process.on('message', (wish) => {
  if (wish === 'release') server.release()
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  const { openStreams, openConnections } = server.counters
  const report: Report = {
    heapBytes: heapUsed,
    bufferBytes: arrayBuffers,
    openStreams,
    openConnections,
    begun: server.seen.begun,
  }
  process.send?.(report)
})
process.once('disconnect', () => process.exit())
process.send?.({ port: server.port })
