/**
 * The first of the paths that a bundle has a rule for in source, and no entrypoint: such a rule would never be asked, and
 * what its author wants masked would be logged.
 *
 * @param sources Rego texts of the bundle.
 * @param paths such as `system/log/mask`.
 */
export function unaskedRule(
  sources: readonly string[],
  entrypoints: ReadonlySet<string>,
  paths: readonly string[],
): string | undefined {
  return paths.find((path) => {
    if (entrypoints.has(path)) return false
    const segments = path.split('/')
    const rule = segments.at(-1)
    return sources.some((source) => {
      const [, name] = /^\s*package\s+([\w.]+)/m.exec(source) ?? []
      return (
        name === segments.slice(0, -1).join('.') && source.split('\n').some((line) => startsWith(line, rule))
      )
    })
  })
}

/** `mask contains …`, `mask := …`, `default drop := …`, `mask[…] {`. */
function startsWith(line: string, rule: string | undefined): boolean {
  const [first, second] = line.trimStart().split(/[^\w]+/, 2)
  return (first === 'default' ? second : first) === rule
}
