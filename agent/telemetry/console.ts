import { write } from 'node:fs'

/** Lines for a file descriptor, written on another thread: nobody who reads slowly holds up the agent. */
export interface Console extends AsyncDisposable {
  /** @returns false where too much waits already, and the line is gone. */
  write(line: string): boolean
}

/** What may wait for a reader. */
const maxWaitingCharacters = 16 << 20
/** How long a reader has for the rest. */
const flushMs = 1000
const retryMs = 10

export function openConsole(descriptor: number): Console {
  let waiting = ''
  /** Characters that are being written. */
  let writing = 0
  let onIdle = () => {}

  function next(): void {
    const bytes = Buffer.from(waiting)
    writing = waiting.length
    waiting = ''
    if (writing === 0) onIdle()
    else writeFrom(bytes, 0)
  }

  function writeFrom(bytes: Buffer, at: number): void {
    write(descriptor, bytes, at, bytes.length - at, null, (error, written) => {
      if (error?.code === 'EAGAIN') setTimeout(() => writeFrom(bytes, at), retryMs).unref()
      // A reader that has gone takes nothing: there is nobody to tell.
      else if (error === null && at + written < bytes.length) writeFrom(bytes, at + written)
      else next()
    })
  }

  return {
    write: (line) => {
      if (waiting.length + writing + line.length > maxWaitingCharacters) return false
      waiting += line
      if (writing === 0) next()
      return true
    },
    [Symbol.asyncDispose]: async () => {
      if (writing === 0) return
      await new Promise<void>((resolve) => {
        const late = setTimeout(resolve, flushMs)
        onIdle = () => {
          clearTimeout(late)
          resolve()
        }
      })
    },
  }
}
