/** What envoyproxy/ratelimit does that nobody can want, and what we do in its place. */
export interface Difference {
  /** Stable; tests recognise a difference by it. */
  readonly name: string
  readonly theirs: string
  readonly fixed: string
  /** What `strict` does: the same as there, the same as `fixed`, or a text of its own. */
  readonly strict: 'theirs' | 'fixed' | string
  /** Whether an operator can see it in an answer, or only when a configuration is read. */
  readonly where: 'answer' | 'configuration'
}

/** Every known difference, one a row; the page of the rate limit service shows the same table. */
export const differences: readonly Difference[] = [
  {
    name: 'partial_charge',
    theirs: 'Each limit of a request is charged on its own, also where another one refuses the request.',
    fixed: 'All limits of a request are charged in one step, or none: what is refused costs nothing.',
    strict: 'theirs',
    where: 'answer',
  },
  {
    name: 'exhausted_look',
    theirs: 'A request that only looks (`hits_addend: 0`) passes at a limit that is used up exactly.',
    fixed: 'It passes while at least one hit is left.',
    strict: 'theirs',
    where: 'answer',
  },
  {
    name: 'shared_counter',
    theirs: 'Counters are named by keys and values joined with `_`: (a, b_c_d) and (a, b), (c, d) are one.',
    fixed: 'No two descriptors share a counter, whatever characters they hold.',
    strict: 'theirs',
    where: 'answer',
  },
  {
    name: 'joined_lookup',
    theirs:
      'Rules are found by the same joined text: the key `a_b` finds the rule of the key `a` with the value `b`.',
    fixed: 'Keys are compared with keys and values with values.',
    strict: 'theirs',
    where: 'answer',
  },
  {
    name: 'window_name',
    theirs:
      "A counter's name ends in the start of its window, not in its length: at midnight a minute, an hour and a day are one.",
    fixed: 'Windows of different lengths have different counters.',
    strict: 'fixed',
    where: 'answer',
  },
  {
    name: 'remaining_of_refused',
    theirs: 'Of a limit that refuses, nothing remains, even where the request asked for more than there was.',
    fixed: 'What remains is told.',
    strict: 'theirs',
    where: 'answer',
  },
  {
    name: 'repeated_descriptor',
    theirs:
      'A descriptor that stands twice in a request is charged twice, and each time its status is another.',
    fixed: 'It is charged the sum, in one step, and both statuses are the same.',
    strict: 'theirs',
    where: 'answer',
  },
  {
    name: 'negative_hits',
    theirs: 'Hits that are to be given back (`is_negative_hits`) are taken.',
    fixed: 'They are given back, never below zero.',
    strict: 'theirs',
    where: 'answer',
  },
  {
    name: 'huge_addend',
    theirs:
      'A `hits_addend` from 2^63 is subtracted: the counter goes below zero, and requests fail until it is above again.',
    fixed: 'It counts as 2^52, more than any limit.',
    strict: 'fixed',
    where: 'answer',
  },
  {
    name: 'unit_multiplier',
    theirs:
      'The `unit_multiplier` of a limit that comes with a request is not known: the window is one unit.',
    fixed: 'The window is as many units as it says.',
    strict: 'fixed',
    where: 'answer',
  },
  {
    name: 'unknown_unit',
    theirs: 'A request with a limit whose unit is UNKNOWN ends the process.',
    fixed: 'It is answered INVALID_ARGUMENT.',
    strict: 'fixed',
    where: 'answer',
  },
  {
    name: 'quota_mode',
    theirs:
      'Version 3fb7025 never refuses for a limit in quota mode, and tells of it as kept; later ones refuse where all of them are over.',
    fixed: 'As in later versions; what a refused request was charged comes back.',
    strict: 'As in version 3fb7025.',
    where: 'answer',
  },
  {
    name: 'empty_descriptor',
    theirs: 'A descriptor without entries passes without a limit.',
    fixed: 'The request is answered INVALID_ARGUMENT.',
    strict: 'theirs',
    where: 'answer',
  },
  {
    name: 'invalid_code',
    theirs: 'A request without domain or descriptors is answered UNKNOWN.',
    fixed: 'It is answered INVALID_ARGUMENT.',
    strict: 'fixed',
    where: 'answer',
  },
  {
    name: 'bounds',
    theirs: 'A request may have any number of descriptors and entries.',
    fixed: 'At most 64 descriptors of at most 32 entries; beyond them it is answered INVALID_ARGUMENT.',
    strict: 'fixed',
    where: 'answer',
  },
  {
    name: 'own_clock',
    theirs: 'Each process counts in the window that its own clock shows.',
    fixed: 'With a shared store, its clock decides for all.',
    strict: 'fixed',
    where: 'answer',
  },
  {
    name: 'inner_star',
    theirs: 'In version 3fb7025 a star counts at the end of a value only; in later ones anywhere.',
    fixed: 'It counts anywhere in a value.',
    strict: 'As in version 3fb7025.',
    where: 'configuration',
  },
  {
    name: 'star_in_key',
    theirs: 'A key that ends in a star, without a value, finds all keys that begin so.',
    fixed: 'It is refused: keys are compared whole.',
    strict: 'theirs',
    where: 'configuration',
  },
  {
    name: 'missing_number',
    theirs: 'A limit without `requests_per_unit` is a limit of 0.',
    fixed: 'It is refused.',
    strict: 'theirs',
    where: 'configuration',
  },
  {
    name: 'misplaced_key',
    theirs: 'A key that is known elsewhere is passed over: `requests_per_unit` beside `key` limits nothing.',
    fixed: 'It is refused.',
    strict: 'fixed',
    where: 'configuration',
  },
  {
    name: 'repeated_key',
    theirs: 'Of a key that stands twice in a map, the last one counts.',
    fixed: 'It is refused.',
    strict: 'fixed',
    where: 'configuration',
  },
  {
    name: 'more_documents',
    theirs: 'Only the first document of a file is read.',
    fixed: 'Each document is a domain.',
    strict: 'theirs',
    where: 'configuration',
  },
  {
    name: 'no_files',
    theirs: 'A folder without files is a configuration without limits: everything passes.',
    fixed: 'It is refused, and the last good limits stay.',
    strict: 'fixed',
    where: 'configuration',
  },
  {
    name: 'unlimited_unit',
    theirs: 'Beside `unlimited`, a unit that is misspelt is passed over.',
    fixed: 'It is refused.',
    strict: 'theirs',
    where: 'configuration',
  },
]
