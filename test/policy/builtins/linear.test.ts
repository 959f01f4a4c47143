import t from 'tap'
import { builtins } from '#policy/builtins/builtins.ts'
import { plainPath } from '#policy/bundle/roots.ts'
import { natives } from '#policy/compiled/native/native.ts'
import type { RegoValue } from '#policy/values/value.ts'

const length = 1 << 20

/** Whether a builtin has an answer at all to operands that a client may choose. */
function answers(name: string, ...operands: readonly RegoValue[]): boolean {
  const builtin = natives.get(name) ?? builtins.get(name)
  try {
    return builtin?.({ nowNs: 0n }, ...operands) !== undefined
  } catch {
    return false
  }
}

// What takes time with the square of the length takes a quarter of an hour here, which the test's time limit ends.
t.test('a mebibyte that a client chooses is read in one walk', async (t) => {
  const rows: readonly (readonly [name: string, operands: readonly RegoValue[], isAnswered: boolean])[] = [
    ['time.parse_duration_ns', ['1'.repeat(length)], false],
    ['to_number', [`${'1'.repeat(length)}x`], false],
    ['units.parse', [`${'1'.repeat(length)}-`], false],
    ['time.parse_ns', ['January January', 'x'.repeat(length)], false],
    ['yaml.marshal', [`${' '.repeat(length)}a\u0085b`], true],
    ['sprintf', [`%${'0'.repeat(length)}x`, [1]], true],
    ['sprintf', [`%.${'0'.repeat(length)}x`, [1.5]], true],
    ['hex.decode', ['aa'.repeat(length)], true],
    ['base64.decode', ['aaaa'.repeat(length)], true],
    ['base64.decode', [`${'aaaa'.repeat(length)}*`], false],
    ['base64.is_valid', [`${'aaaa'.repeat(length)}*`], true],
    ['base64url.decode', ['aaaa'.repeat(length)], true],
  ]
  for (const [name, operands, isAnswered] of rows) t.equal(answers(name, ...operands), isAnswered, name)
})

t.test('so is a path that a bundle chooses', async (t) => {
  const slashes = '/'.repeat(length)
  const rows = [
    ['', ''],
    ['/', ''],
    ['a', 'a'],
    ['//a//b//', 'a//b'],
    [`a${slashes}b/`, `a${slashes}b`],
    [slashes, ''],
  ] as const
  for (const [path, plain] of rows) t.equal(plainPath(path), plain, path.slice(0, 20))
})
