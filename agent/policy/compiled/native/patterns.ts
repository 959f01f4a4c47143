import { RE2JS } from 're2js'
import type { Family } from '../../builtins/builtin.ts'
import { integer, succeeds, text } from '../../builtins/operands.ts'
import { compiledRegex } from '../../builtins/regex.ts'

/** The regular expressions that a module brings with it; linear in the text, as Go's are. */
export const patternBuiltins: Family = {
  'regex.match': (_, pattern, value) => compiledRegex(text(pattern)).matcher(text(value)).find(),
  re_match: (_, pattern, value) => compiledRegex(text(pattern)).matcher(text(value)).find(),
  'regex.is_valid': (_, pattern) => succeeds(() => RE2JS.compile(text(pattern))),
  'regex.find_all_string_submatch_n': (_, pattern, value, count) => {
    const limit = integer(count)
    const matcher = compiledRegex(text(pattern)).matcher(text(value))
    const found: string[][] = []
    while ((limit < 0 || found.length < limit) && matcher.find())
      found.push(
        Array.from({ length: matcher.groupCount() + 1 }, (_each, group) => matcher.group(group) ?? ''),
      )
    return found
  },
}
