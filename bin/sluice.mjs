#!/usr/bin/env node
// TypeScript runs by type stripping, which needs Node 24: hand over to the one that npm brought if this is older.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const main = join(root, 'agent', 'main.ts')
if (Number(process.versions.node.split('.')[0]) >= 24) {
  process.argv[1] = main
  await import(main)
} else {
  const node = join(root, 'node_modules', '.bin', 'node')
  if (!existsSync(node)) {
    process.stderr.write('sluice: needs Node 24 (run `npm ci` in the checkout, or install Node 24)\n')
    process.exit(1)
  }
  const child = spawnSync(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  process.exit(child.status ?? 1)
}
