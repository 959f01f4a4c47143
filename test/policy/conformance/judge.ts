import { messageOf } from '#base/errors.ts'
import type { JsonValue } from '#base/json.ts'
import { compare, isEqual } from '#policy/values/compare.ts'
import { fromJsonText } from '#policy/values/json.ts'
import { regoText } from '#policy/values/rego-text.ts'
import type { RegoObject, RegoValue } from '#policy/values/value.ts'
import type { Head, Question } from '../../harness/conformance.ts'
import type { Ask } from './engines.ts'

/** What became of a case. A skip could not be asked at all. */
export interface Outcome {
  readonly state: 'pass' | 'fail' | 'skip'
  readonly why: string
}

/** What an engine said: rows of bindings, or why it failed. */
export type Answer =
  | { readonly kind: 'rows'; readonly rows: readonly RegoValue[] }
  | { readonly kind: 'error'; readonly message: string }

/** Puts a case to an engine and compares. */
export function outcomeOf(question: Question, ask: Ask): Outcome {
  const { head } = question
  if (head.refused !== undefined) {
    const why = head.missing === undefined ? head.refused : `needs ${head.missing.join(', ')}`
    return { state: 'skip', why }
  }
  const why = faultOf(head, answerOf(question, ask))
  return why === undefined ? { state: 'pass', why: '' } : { state: 'fail', why }
}

export function answerOf(question: Question, ask: Ask): Answer {
  const { variable } = question.head
  let result: JsonValue | undefined
  try {
    result = ask(question)
  } catch (thrown) {
    return { kind: 'error', message: messageOf(thrown) }
  }
  if (result === undefined) return { kind: 'rows', rows: [] }
  const value = fromJsonText(JSON.stringify(result))
  if (variable !== undefined) return { kind: 'rows', rows: [{ [variable]: value }] }
  return { kind: 'rows', rows: value as readonly RegoValue[] }
}

/** What OPA's wasm says where its interpreter says `eval_conflict_error`. */
const conflicts = ['var assignment conflict', 'object insert conflict']

/**
 * What is wrong with an answer; `undefined` where nothing is. As strict as OPA: rows are a set, and so are arrays inside of
 * them only where the case says so; a set in the answer has become an array in Rego's order by now, as in the case.
 */
export function faultOf(head: Head, answer: Answer): string | undefined {
  const wantedError = head.isStrict === true ? head.answerError : head.wantError
  if (wantedError !== undefined) {
    if (answer.kind === 'rows') return `${shown(answer.rows)} instead of ${wantedError}`
    const isRight =
      wantedError !== 'eval_conflict_error' || conflicts.some((each) => answer.message.includes(each))
    return isRight ? undefined : `${answer.message} instead of ${wantedError}`
  }
  // Where the case is of strict mode, its wants are too: what OPA says outside of it counts.
  const wanted = rowsOf((head.isStrict === true ? head.answer : head.want) ?? '')
  if (answer.kind === 'error') return `${answer.message} instead of ${shown(wanted)}`
  const got = head.sortBindings === true ? answer.rows.map(sortedBindings) : answer.rows
  if (!isEqual(setLike(got), setLike(wanted))) return `${shown(got)} instead of ${shown(wanted)}`
  if (head.wantDefined !== undefined && head.isStrict !== true && head.wantDefined !== got.length > 0)
    return `${shown(got)}, which should ${head.wantDefined ? 'not ' : ''}be undefined`
  return undefined
}

function rowsOf(json: string): readonly RegoValue[] {
  return fromJsonText(json) as readonly RegoValue[]
}

/** Rows in one order, each once: sets inside of them are arrays now, which may change both. */
function setLike(rows: readonly RegoValue[]): readonly RegoValue[] {
  return rows.toSorted(compare).filter((row, index, all) => index === 0 || !isEqual(row, all[index - 1]!))
}

function sortedBindings(row: RegoValue): RegoValue {
  return Object.fromEntries(
    Object.entries(row as RegoObject).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.toSorted(compare) : value,
    ]),
  )
}

const shownCharacters = 400

function shown(rows: readonly RegoValue[]): string {
  const text = rows.length === 0 ? 'undefined' : regoText(rows)
  return text.length <= shownCharacters ? text : `${text.slice(0, shownCharacters)}…`
}
