import { type ChildProcess, spawn } from 'node:child_process'
import { eventually } from './temp.ts'

export interface RunningProcess extends AsyncDisposable {
  readonly pid: number
  /** What it printed lately, both streams. */
  logs(): string
  kill(signal: NodeJS.Signals): void
  /** Resolves when it has ended, with its code or the signal. */
  readonly ended: Promise<number | NodeJS.Signals>
}

const keptCharacters = 200_000
const running = new Set<ChildProcess>()

// Children are leaders of their own groups (Triton's python stubs die with Triton), so that nothing dies by itself.
const killAll = () => {
  for (const child of running) killGroup(child, 'SIGKILL')
}
process.once('exit', killAll)
// The runner ends a test that takes too long by the first.
for (const signal of ['SIGALRM', 'SIGTERM', 'SIGINT', 'SIGHUP'] as const)
  process.once(signal, () => {
    killAll()
    process.kill(process.pid, signal)
  })

/**
 * Starts a program and waits until `isReady` says so.
 *
 * @throws Error with what the program printed, when it ends early or is not ready in time.
 */
export async function startProcess(options: {
  readonly name: string
  readonly program: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  readonly isReady: () => boolean | Promise<boolean>
  readonly deadlineMs?: number
}): Promise<RunningProcess> {
  const child = spawn(options.program, options.args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
    env: { ...process.env, ...options.env },
    ...(options.cwd !== undefined && { cwd: options.cwd }),
  })
  running.add(child)
  let text = ''
  const keep = (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-keptCharacters)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  const ended = new Promise<number | NodeJS.Signals>((resolve) => {
    child.once('error', (cause) => {
      text += String(cause)
      running.delete(child)
      resolve(127)
    })
    child.once('close', (code, signal) => {
      running.delete(child)
      resolve(code ?? signal ?? 'SIGKILL')
    })
  })
  let hasEnded = false
  ended.then(() => {
    hasEnded = true
  })
  const stop = async () => {
    killGroup(child, 'SIGTERM')
    const timer = setTimeout(() => killGroup(child, 'SIGKILL'), 10_000)
    await ended
    clearTimeout(timer)
    // Whatever the leader left behind in its group.
    killGroup(child, 'SIGKILL')
  }
  try {
    await eventually(
      `${options.name} is ready`,
      async () => {
        if (hasEnded) return 'ended' as const
        return (await options.isReady()) ? ('ready' as const) : undefined
      },
      options.deadlineMs ?? 60_000,
    ).then((state) => {
      if (state === 'ended') throw new Error('it ended')
    })
  } catch (cause) {
    await stop()
    throw new Error(`${options.name} did not start:\n${text.slice(-6000)}`, { cause })
  }
  return {
    pid: child.pid as number,
    logs: () => text,
    kill: (signal) => killGroup(child, signal),
    ended,
    [Symbol.asyncDispose]: stop,
  }
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return
  try {
    process.kill(-child.pid, signal)
  } catch (thrown) {
    // Gone already: that is what was wanted.
    if ((thrown as NodeJS.ErrnoException).code !== 'ESRCH') throw thrown
  }
}
