import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'

/** Where the load runs, and where what is measured. */
export const cores = { measured: '0', load: '1' } as const

const isPossible = availableParallelism() > 1

/**
 * Keeps all threads of this process to a core, and every child that it starts from now on. Without `taskset`, or with one
 * core, the scheduler decides, and figures are noisier.
 */
export function pinMyself(core: string): void {
  if (isPossible) spawnSync('taskset', ['-a', '-c', '-p', core, String(process.pid)], { stdio: 'ignore' })
}
