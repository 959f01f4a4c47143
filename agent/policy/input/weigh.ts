import type { JsonValue } from '#base/json.ts'
import { isRawJSON } from '#base/raw-json.ts'

/** What is known of an input without writing it out. */
export interface Weight {
  /** About as many characters as its JSON text has, never far fewer. */
  characters: number
  /** Whether every value is what it says: no raw literal stands for a number, no number is NaN or infinite. */
  isExact: boolean
}

/** Looks at all of a value once; a fifth of what writing it as text costs (`bench -- policy`). */
export function weigh(value: JsonValue): Weight {
  const weight: Weight = { characters: 0, isExact: true }
  weight.characters = charactersOf(value, weight)
  return weight
}

function charactersOf(value: JsonValue | undefined, found: Weight): number {
  switch (typeof value) {
    case 'string':
      return value.length + 2
    case 'number':
      if (!Number.isFinite(value)) found.isExact = false
      return 8
    case 'object': {
      if (value === null) return 4
      let characters = 2
      if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) characters += 1 + charactersOf(value[i], found)
        return characters
      }
      const object = value as { readonly [key: string]: JsonValue | undefined }
      for (const key in object) {
        const item = object[key]
        characters +=
          key.length + 4 + (typeof item === 'string' ? item.length + 2 : charactersOf(item, found))
        if (key === 'rawJSON' && isRawJSON(object)) found.isExact = false
      }
      return characters
    }
    case 'undefined':
      found.isExact = false
      return 0
    default:
      return 5
  }
}
