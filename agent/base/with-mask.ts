import { isMainThread } from 'node:worker_threads'

/**
 * Binds a Unix socket so that it has its mode from the first moment, not from when it can be changed. A worker cannot have
 * it so: the mask is the process's.
 *
 * @param mask what nobody may do with the files that `bind` makes before it returns, as of umask(2)
 */
export function withMask(mask: number, bind: () => void): void {
  if (!isMainThread) return bind()
  const before = process.umask(mask)
  try {
    bind()
  } finally {
    process.umask(before)
  }
}
