import t from 'tap'
import { BundleSet } from '#identity/bundle/bundle-set.ts'
import type { TrustBundle, TrustBundles } from '#identity/bundle/trust-bundle.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { certificatesOf } from '../x509/kit.ts'

const roots = Array.from({ length: 3 }, () => certificatesOf(createDevCa({ trustDomain: 'a' }).bundlePem))

function bundle(trustDomain: string, root: number | undefined, sequence?: bigint): TrustBundle {
  const x509Authorities = root === undefined ? [] : (roots[root] ?? [])
  return { trustDomain, x509Authorities, jwtAuthorities: [], ...(sequence !== undefined && { sequence }) }
}
const bundles = (...all: readonly TrustBundle[]): TrustBundles =>
  new Map(all.map((each) => [each.trustDomain, each]))

t.test('each trust domain has the bundle of the first source that has one, and never two', async (t) => {
  const set = new BundleSet(2)
  set.replace(1, bundles(bundle('a', 1), bundle('b', 1)))
  set.replace(0, bundles(bundle('a', 0)))
  t.same(set.merged.bundles.get('a')?.x509Authorities, roots[0])
  t.same(set.merged.bundles.get('b')?.x509Authorities, roots[1])
  set.replace(0, bundles())
  t.same(set.merged.bundles.get('a')?.x509Authorities, roots[1], 'the next one, once the first has none')
  set.replace(1, bundles())
  t.equal(set.merged.bundles.size, 0)
})

t.test('the generation grows with each change of what can be verified, and only then', async (t) => {
  const set = new BundleSet(2)
  const rows: [name: string, source: number, next: TrustBundles, changes: boolean][] = [
    ['the first', 0, bundles(bundle('a', 0)), true],
    ['the same again', 0, bundles(bundle('a', 0)), false],
    ['the same with a sequence', 0, bundles(bundle('a', 0, 1n)), false],
    ['another root', 0, bundles(bundle('a', 1, 2n)), true],
    ['one that nobody sees', 1, bundles(bundle('a', 2)), false],
    ['another trust domain', 1, bundles(bundle('b', 2)), true],
    ['revoked', 0, bundles(bundle('a', undefined, 3n)), true],
    ['gone', 0, bundles(), true],
  ]
  let generation = 0
  for (const [name, source, next, changes] of rows) {
    t.equal(set.replace(source, next), changes, name)
    if (changes) generation++
    t.equal(set.merged.generation, generation, name)
  }
})

t.test('nobody brings an older bundle back', async (t) => {
  const set = new BundleSet(1)
  set.replace(0, bundles(bundle('a', 0, 7n), bundle('b', 0, 7n)))
  t.equal(set.replace(0, bundles(bundle('a', 1, 6n), bundle('b', 1, 8n))), true)
  t.same(set.merged.bundles.get('a')?.x509Authorities, roots[0], 'the known one stays')
  t.same(set.merged.bundles.get('b')?.x509Authorities, roots[1], 'beside a newer one of another trust domain')
  t.equal(set.problem, 'a: a bundle of sequence 6 after one of 7')
  set.replace(0, bundles(bundle('a', 2, 7n), bundle('b', 1, 8n)))
  t.same(set.merged.bundles.get('a')?.x509Authorities, roots[2], 'of the same sequence the last one counts')
  t.equal(set.problem, undefined)
  set.replace(0, bundles(bundle('a', 1)))
  t.same(set.merged.bundles.get('a')?.x509Authorities, roots[1], 'and one that does not count')
})
