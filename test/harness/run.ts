import { type SpawnOptions, spawn } from 'node:child_process'

/** Runs a program to its end and gives its standard output. A failure carries everything it said. */
export function run(program: string, args: readonly string[], options: SpawnOptions = {}): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] })
    const out: Buffer[] = []
    const err: Buffer[] = []
    child.stdout?.on('data', (chunk: Buffer) => out.push(chunk))
    child.stderr?.on('data', (chunk: Buffer) => err.push(chunk))
    child.once('error', (cause) => reject(new Error(`${program}: ${cause.message}`, { cause })))
    child.once('close', (code, signal) => {
      if (code === 0) return resolve(Buffer.concat(out))
      const said = `${Buffer.concat(out).toString().slice(-4000)}${Buffer.concat(err).toString().slice(-4000)}`
      reject(new Error(`${program} ${args.join(' ')} ended with ${code ?? signal}:\n${said}`))
    })
  })
}
