import { writeSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { program } from '#commands/program.ts'

/** What one of them said. */
export interface Said {
  readonly status: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * A program: runs the commands that standard input lists (JSON, a list of words each), one after the other, and prints what
 * each said. They share the time that it takes to read all of Sluice.
 */
const commands: string[][] = JSON.parse(await text(process.stdin))
const said: Said[] = []
for (const words of commands) {
  const [stdout, stderr]: [string[], string[]] = [[], []]
  process.stdout.write = (chunk: string | Uint8Array) => stdout.push(String(chunk)) > 0
  process.stderr.write = (chunk: string | Uint8Array) => stderr.push(String(chunk)) > 0
  process.exitCode = 0
  await program().parseAsync(words, { from: 'user' })
  // A warning of Node's comes a moment later.
  await new Promise((resolve) => setImmediate(resolve))
  said.push({ status: Number(process.exitCode), stdout: stdout.join(''), stderr: stderr.join('') })
}
process.exitCode = 0
writeSync(1, JSON.stringify(said))
