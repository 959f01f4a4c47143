import type { CounterKey, CounterRule } from '../store/store.ts'

/**
 * The names of everything in Redis. What stands in braces decides on which server of a cluster a key lies; nothing else
 * in a key has braces that count before them. No two different things have the same name, whatever clients write.
 */
export interface KeyNames {
  /** Of the record of one memory, see `memory-record.ts`. */
  record(tag: string): string
  hold(tag: string, id: string): string
  /** That a change by hand was made. */
  mark(tag: string, id: string): string
  /** A rule of another kind counts elsewhere: what was used says nothing to it. */
  counter(key: CounterKey, kind: CounterRule['kind']): string
}

export function keyNames(prefix: string): KeyNames {
  return {
    record: (tag) => `${prefix}:e:{${plain(tag)}}`,
    hold: (tag, id) => `${prefix}:h:{${plain(tag)}}:${plain(id)}`,
    mark: (tag, id) => `${prefix}:m:{${plain(tag)}}:${plain(id)}`,
    counter: ({ partition, id }, kind) =>
      `${prefix}:q:{${plain(partition)}}:${kindLetters[kind]}:${plain(id)}`,
  }
}

export const kindLetters = { gcra: 'g', sliding: 's', calendar: 'c', concurrency: 'r' } as const

/** Braces, the escape itself, and halves of pairs, which would all become the same character in UTF-8. */
const special = /[%{}]|\p{Surrogate}/u
const specials = /[%{}]|\p{Surrogate}/gu

/** Never empty: for empty braces a cluster takes the whole key. */
function plain(text: string): string {
  if (text === '') return '%'
  if (!special.test(text)) return text
  return text.replace(specials, (each) => `%${each.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
