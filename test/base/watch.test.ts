import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { watchPath } from '#base/watch.ts'

function folder(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'sluice-watch-'))
  t.teardown(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Watches, and waits for one more report at a time. */
function watching(t: Test, path: string) {
  let reports = 0
  const watch = watchPath(path, () => reports++, { intervalMs: 5 })
  t.teardown(() => watch[Symbol.dispose]())
  return async (what: string, change: () => void) => {
    const before = reports
    change()
    for (let i = 0; i < 2000 && reports === before; i++) await sleep(5)
    t.ok(reports > before, what)
  }
}

t.test('every way in which a file changes is reported', async (t) => {
  const dir = folder(t)
  const path = join(dir, 'file')
  const reported = watching(t, path)
  await reported('it appears', () => writeFileSync(path, 'a'))
  await reported('it is written', () => writeFileSync(path, 'ab'))
  await reported('another takes its place', () => {
    writeFileSync(join(dir, 'new'), 'cd')
    renameSync(join(dir, 'new'), path)
  })
  await reported('it goes', () => rmSync(path))
})

t.test('a directory is watched through the links that Kubernetes swaps', async (t) => {
  const dir = folder(t)
  for (const version of ['1', '2']) {
    mkdirSync(join(dir, version))
    writeFileSync(join(dir, version, 'a.yaml'), version)
  }
  const mount = join(dir, 'mount')
  mkdirSync(mount)
  symlinkSync('../1', join(mount, '..data'))
  symlinkSync('..data/a.yaml', join(mount, 'a.yaml'))
  const reported = watching(t, mount)
  await reported('the link is swapped', () => {
    symlinkSync('../2', join(mount, '..next'))
    renameSync(join(mount, '..next'), join(mount, '..data'))
  })
  await reported('a link leads nowhere', () => rmSync(join(dir, '2'), { recursive: true }))
  await reported('the directory goes', () => rmSync(mount, { recursive: true }))
  await reported('a file stands in its place', () => writeFileSync(mount, ''))
  await reported('a directory comes back', () => {
    rmSync(mount)
    mkdirSync(mount)
  })
})
