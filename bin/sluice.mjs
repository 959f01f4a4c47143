#!/usr/bin/env node
// TypeScript runs by type stripping, which needs Node 24: hand over to the one that npm brought if this is older.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const main = join(root, 'agent', 'main.ts')
const words = process.argv.slice(2)

/**
 * For the agent, which runs for long beside a model: what V8 lets new objects take before it looks which of them are still
 * needed, three times 8 MB in the place of three times 16 or more. A request leaves next to nothing behind, so that the
 * heap is some 40 MB smaller; less than 8 costs calls that wait for a store (`bench -- rls`). V8 takes it at its start only.
 */
const flags = words[0] === 'agent' && !isSizeChosen() ? ['--max-semi-space-size=8'] : []

if (Number(process.versions.node.split('.')[0]) >= 24) {
  if (flags.length > 0 && process.execve !== undefined) {
    const line = [process.execPath, ...process.execArgv, ...flags, main, ...words]
    // The same process goes on: its number, signals and streams stay.
    process.execve(process.execPath, line, process.env)
  }
  process.argv[1] = main
  await import(main)
} else {
  const node = join(root, 'node_modules', '.bin', 'node')
  if (!existsSync(node)) {
    process.stderr.write('sluice: needs Node 24 (run `npm ci` in the checkout, or install Node 24)\n')
    process.exit(1)
  }
  const child = spawnSync(node, [...flags, main, ...words], { stdio: 'inherit' })
  process.exit(child.status ?? 1)
}

/** Whether who starts the agent says it: on the command line of Node, or in NODE_OPTIONS. */
function isSizeChosen() {
  return /max[-_]semi[-_]space[-_]size/.test([...process.execArgv, process.env.NODE_OPTIONS].join(' '))
}
