import type { Compat } from './types.ts'

/** How the entries of descriptors become the texts that rules are found by and counters are kept under. */
export interface Spelling {
  partition(domain: string): string
  /** What a counter's text begins with. */
  head(domain: string, windowText: string): string
  /** One entry. */
  entry(key: string, value: string): string
  /** One entry of which all values that fit a pattern share a counter. */
  shared(key: string, pattern: string): string
}

/** No two lists of entries make one text. */
const fixed: Spelling = {
  partition: (domain) => `rls:${domain}`,
  head: (_, windowText) => windowText,
  entry: (key, value) => `${key.length}:${key}${value.length}:${value}`,
  shared: (key, pattern) => `${key.length}:${key}*${pattern.length}:${pattern}`,
}

/** Joined with `_`, as there: (a, b_c) and (a_b, c) are one text. */
const strict: Spelling = {
  partition: () => 'rls',
  head: (domain, windowText) => `${windowText}${domain}_`,
  entry: (key, value) => `${key}_${value}_`,
  shared: (key, pattern) => `${key}_${pattern}_`,
}

export const spellings: Readonly<Record<Compat, Spelling>> = { fixed, strict }
