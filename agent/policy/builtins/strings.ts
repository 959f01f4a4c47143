import { RegoSet, type RegoValue } from '../values/value.ts'
import type { Family } from './builtin.ts'
import { shownAlone } from './go-quote.ts'
import { integer, list, OperandError, text, texts } from './operands.ts'
import { sprintf } from './sprintf.ts'

const many = (value: RegoValue | undefined): readonly string[] =>
  typeof value === 'string' ? [value] : texts(value)

/** Splits as Go does: an empty separator between code points. */
function split(value: string, separator: string): string[] {
  return separator === '' ? [...value] : value.split(separator)
}

/** Strings, counted in code points as Go counts runes. */
export const stringBuiltins: Family = {
  sprintf: (_, format, values) => sprintf(text(format), list(values)),
  'internal.template_string': (_, parts) =>
    list(parts)
      .map((part) => {
        if (!(part instanceof RegoSet)) return shownAlone(part)
        if (part.members.length > 1) throw new OperandError('a template with more than one value')
        return part.members.length === 0 ? '<undefined>' : shownAlone(part.members[0] as RegoValue)
      })
      .join(''),
  'strings.any_prefix_match': (_, search, base) =>
    many(search).some((value) => many(base).some((prefix) => value.startsWith(prefix))),
  'strings.any_suffix_match': (_, search, base) =>
    many(search).some((value) => many(base).some((suffix) => value.endsWith(suffix))),
  'strings.count': (_, value, part) =>
    text(part) === '' ? [...text(value)].length + 1 : text(value).split(text(part)).length - 1,
  'strings.split_n': (_, value, separator, count) => {
    const [whole, by, n] = [text(value), text(separator), integer(count)]
    const parts = split(whole, by)
    return n >= 0 ? parts.slice(0, n) : parts.slice(Math.max(parts.length + n, 0))
  },
  indexof_n: (_, value, part) => {
    const [runes, wanted] = [[...text(value)], [...text(part)]]
    if (wanted.length === 0) throw new OperandError('an empty search string')
    const found: number[] = []
    for (let i = 0; i + wanted.length <= runes.length; i++) {
      if (wanted.every((rune, offset) => runes[i + offset] === rune)) found.push(i)
    }
    return found
  },
}
