import { LRUCache } from 'lru-cache'
import type { Family } from '../builtin.ts'
import { object, text } from '../operands.ts'
import { execute } from './execute.ts'
import type { Templates } from './nodes.ts'
import { parseTemplate } from './parse.ts'
import { dataOf } from './values.ts'

const parsed = new LRUCache<string, Templates>({ max: 32 })

/** `strings.render_template`: Go's `text/template`, whose values have no methods here. @see https://pkg.go.dev/text/template */
export const templateBuiltins: Family = {
  'strings.render_template': (_, value, variables) => {
    const source = text(value)
    let templates = parsed.get(source)
    if (templates === undefined) {
      templates = parseTemplate(source)
      parsed.set(source, templates)
    }
    return execute(templates, dataOf(object(variables))).replaceAll('<no value>', '<undefined>')
  },
}
