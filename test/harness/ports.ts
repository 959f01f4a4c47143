import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Below those that the kernel gives to outgoing connections: one of these could take a port that waits for its server. */
const [lowest, highest] = [10_240, 32_767]
/** Tests run in processes side by side; what one was told is free, no other is told until that process has ended. */
const claims = join(tmpdir(), 'sluice-test-ports')
const own = new Set<number>()

/** Ports that nobody listens on, all different, and nobody else's as long as this process runs. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  while (ports.length < count) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest + 1))
    if (claim(port) && (await isFree(port))) ports.push(port)
  }
  return ports
}

function claim(port: number): boolean {
  const path = join(claims, String(port))
  mkdirSync(claims, { recursive: true })
  try {
    writeFileSync(path, String(process.pid), { flag: 'wx' })
  } catch {
    if (own.has(port) || isHeld(path)) return false
    // Of a process that was killed; whoever else sees that too takes it a moment later, or we do.
    rmSync(path, { force: true })
    return false
  }
  if (own.size === 0) process.once('exit', release)
  own.add(port)
  return true
}

function isHeld(path: string): boolean {
  try {
    process.kill(Number(readFileSync(path, 'utf8')), 0)
    return true
  } catch {
    return false
  }
}

function release(): void {
  for (const port of own) rmSync(join(claims, String(port)), { force: true })
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
