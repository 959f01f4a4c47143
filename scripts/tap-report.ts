/** What failed: the file, the tests around it, its own name; and what TAP says of it. */
export interface Failure {
  readonly path: string
  readonly diagnostics: readonly string[]
}

export interface Report {
  readonly passed: number
  readonly failed: number
  /** The innermost ones: a test that failed for what failed in it is not one more. */
  readonly failures: readonly Failure[]
}

const keptLines = 40
const point = /^( *)not ok \d+(?: - (.*?))?(?: # time=\S+)?$/

/** Reads the TAP that `tap --output-file` writes. Totals that are not there are 0. */
export function readReport(text: string): Report {
  const figures = [...text.matchAll(/^# \{ total: (\d+)(?:, pass: (\d+))?(?:, fail: (\d+))?/gm)].at(-1)
  return {
    passed: Number(figures?.[2] ?? 0),
    failed: Number(figures?.[3] ?? 0),
    failures: failuresIn(text.split('\n')),
  }
}

function failuresIn(lines: readonly string[]): Failure[] {
  const failures: Failure[] = []
  /** Names of the tests that are open, by their depth. */
  const open: string[] = []
  let depthBefore = 0
  for (const [at, line] of lines.entries()) {
    const subtest = /^( *)# Subtest: (.*)$/.exec(line)
    if (subtest !== null) {
      const depth = depthOf(subtest[1])
      open.length = depth
      open[depth] = subtest[2] ?? ''
      depthBefore = Math.min(depthBefore, depth)
      continue
    }
    const [, indent, name = ''] = point.exec(line) ?? []
    if (indent === undefined || / # (TODO|SKIP)/.test(line)) continue
    const depth = depthOf(indent)
    // What failed in it was told just before.
    if (depthBefore <= depth) {
      const path = [...open.slice(0, depth), name].join(' › ').replaceAll('\\#', '#')
      failures.push({ path, diagnostics: diagnosticsBehind(lines, at, indent) })
    }
    depthBefore = depth
  }
  return failures
}

const depthOf = (indent: string | undefined) => (indent ?? '').length / 4

/** The YAML below a test point, without the source, which everybody has. */
function diagnosticsBehind(lines: readonly string[], at: number, indent: string): string[] {
  const begin = `${indent}  ---`
  if (lines[at + 1] !== begin) return []
  const kept: string[] = []
  let isSource = false
  for (const line of lines.slice(at + 2)) {
    if (line === `${indent}  ...`) break
    const text = line.slice(indent.length + 2)
    if (/^ *source: /.test(text)) isSource = true
    else if (isSource && /^ *[\w-]+: ?/.test(text) && !text.startsWith('    ')) isSource = false
    if (!isSource) kept.push(`  ${text}`)
  }
  return kept.length > keptLines ? [...kept.slice(0, keptLines), '  …'] : kept
}
