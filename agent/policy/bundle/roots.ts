import { SluiceError } from '#base/errors.ts'
import { isJsonObject, type JsonObject } from '#base/json.ts'

/** A root or a path as everything here has it: no slash at its ends, the empty one for all. */
export function plainPath(path: string): string {
  let [from, to] = [0, path.length]
  while (path[from] === '/') from++
  while (to > from && path[to - 1] === '/') to--
  return path.slice(from, to)
}

/** Whether a path (`a/b`) lies at or below one of the roots. */
export function isUnder(roots: readonly string[], path: string): boolean {
  return roots.some((root) => root === '' || path === root || path.startsWith(`${root}/`))
}

/** Two roots of which one lies at or below the other, if there are such. */
export function overlapIn(roots: readonly string[]): readonly [string, string] | undefined {
  for (const [index, root] of roots.entries()) {
    const other = roots.slice(index + 1).find((each) => isUnder([root], each) || isUnder([each], root))
    if (other !== undefined) return [root, other]
  }
  return undefined
}

/** Where there is data that no root permits, as a path; looks no deeper than the roots do. */
export function dataOutside(roots: readonly string[], data: JsonObject, at = ''): string | undefined {
  for (const [key, value] of Object.entries(data)) {
    const path = at === '' ? key : `${at}/${key}`
    if (isUnder(roots, path)) continue
    if (!isJsonObject(value) || !roots.some((root) => root.startsWith(`${path}/`))) return path
    const outside = dataOutside(roots, value, path)
    if (outside !== undefined) return outside
  }
  return undefined
}

/** @throws SluiceError where the roots of two bundles overlap: nobody could say whose data it is. */
export function checkRootsApart(bundles: ReadonlyMap<string, readonly string[]>): void {
  const owned = [...bundles].flatMap(([name, roots]) => roots.map((root) => ({ name, root })))
  for (const [index, { name, root }] of owned.entries()) {
    const other = owned
      .slice(index + 1)
      .find((each) => each.name !== name && overlapIn([root, each.root]) !== undefined)
    if (other === undefined) continue
    throw new SluiceError({
      code: 'bundle_roots_overlap',
      place: `bundles ${name} and ${other.name}`,
      found: `the roots ${JSON.stringify(root)} and ${JSON.stringify(other.root)}`,
      expected: 'roots in .manifest that do not overlap',
    })
  }
}
