import { regoText } from '../values/rego-text.ts'
import type { Family } from './builtin.ts'
import { integer, list, text, texts } from './operands.ts'
import { sprintf } from './sprintf.ts'

const many = (value: unknown): readonly string[] =>
  typeof value === 'string' ? [value] : texts(value as string[])

/** Strings, counted in code points as Go counts runes. */
export const stringBuiltins: Family = {
  sprintf: (_, format, values) =>
    sprintf({ text: regoText(format ?? null) }, { text: regoText(values ?? null) }),
  'strings.any_prefix_match': (_, search, base) =>
    many(search).some((value) => many(base).some((prefix) => value.startsWith(prefix))),
  'strings.any_suffix_match': (_, search, base) =>
    many(search).some((value) => many(base).some((suffix) => value.endsWith(suffix))),
  'strings.count': (_, value, part) =>
    text(part) === '' ? [...text(value)].length + 1 : text(value).split(text(part)).length - 1,
  indexof_n: (_, value, part) => {
    const [runes, wanted] = [[...text(value)], [...text(part)]]
    const found: number[] = []
    for (let i = 0; i + wanted.length <= runes.length; i++) {
      if (wanted.every((rune, offset) => runes[i + offset] === rune)) found.push(i)
    }
    return found
  },
  'array.flatten': (_, value) => list(value).flat() as never,
  'numbers.range_step': (_, from, to, step) => {
    const [first, last, by] = [integer(from), integer(to), integer(step)]
    if (by <= 0) return undefined
    const count = Math.floor(Math.abs(last - first) / by) + 1
    if (count > 100_000) return undefined
    return Array.from({ length: count }, (_each, index) => first + (last >= first ? index * by : -index * by))
  },
}
