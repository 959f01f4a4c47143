import { isJsonObject, type JsonObject } from '#base/json.ts'
import type { Kind } from './kinds.ts'
import { at, type Node } from './tree.ts'
import type { View } from './view.ts'

/** `opens`: a request may pass undecided. `weakens`: it is decided on less, or on something else, than there is. */
export type Severity = 'opens' | 'weakens'

/** What a rule says of itself. */
export interface RuleText {
  /** Stable, lower-case, underscore-separated: the label of the metric, and what `envoy.audit.accept` lists. */
  readonly id: string
  readonly severity: Severity
  /** The field of Envoy's that it is about. */
  readonly setting: string
  readonly why: string
  readonly fix: string
}

/** One row of the tables: looks at every object of its kinds. */
export interface Rule extends RuleText {
  readonly kinds: readonly Kind[] | 'all'
  isBroken(object: JsonObject, node: Node, view: View): boolean
}

/** A setting of Envoy that lets requests pass undecided, identities be forged, or policy be misled. */
export interface Finding extends RuleText {
  /** Where in the configuration, as a path with names. */
  readonly place: string
}

export function findingOf({ id, severity, setting, why, fix }: RuleText, place: string): Finding {
  return { id, severity, setting, place, why, fix }
}

type Predicate = (object: JsonObject) => boolean

/** Set to something else than false. What is no boolean counts as true: it is not for us to guess what Envoy makes of it. */
export const isOn =
  (path: string): Predicate =>
  (object) => {
    const value = at(object, path)
    return value !== undefined && value !== null && value !== false
  }

export const isNotOn =
  (path: string): Predicate =>
  (object) =>
    at(object, path) !== true

export const isSet =
  (path: string): Predicate =>
  (object) => {
    const value = at(object, path)
    if (value === undefined || value === null) return false
    return Array.isArray(value) ? value.length > 0 : true
  }

/** Has a value that is not listed; without any Envoy's default, which is good, holds. */
export const isOther =
  (path: string, ...good: readonly string[]): Predicate =>
  (object) => {
    const value = at(object, path)
    return value !== undefined && !good.includes(value as string)
  }

/** Has no value of those listed. */
export const isNot =
  (path: string, ...good: readonly string[]): Predicate =>
  (object) =>
    !good.includes(at(object, path) as string)

/** A list that lacks a text. */
export const lacks =
  (path: string, text: string): Predicate =>
  (object) => {
    const list = at(object, path)
    return !Array.isArray(list) || !list.includes(text)
  }

export const either =
  (...predicates: readonly Predicate[]): Predicate =>
  (object) =>
    predicates.some((predicate) => predicate(object))

/** Seconds of a duration as Envoy writes it; `undefined` where there is none, NaN where it cannot be read. */
export function secondsAt(object: unknown, path: string): number | undefined {
  const value = at(object, path)
  if (value === undefined || value === null) return undefined
  return typeof value === 'string' && /^\d+(\.\d+)?s$/.test(value) ? Number(value.slice(0, -1)) : Number.NaN
}

/** Whether an object, a header to add, is one that only the agent may write. */
export function isOwnHeader(header: unknown): boolean {
  const name = isJsonObject(header) ? at(header, 'header.key') : header
  return typeof name === 'string' && name.toLowerCase().startsWith('x-sluice-')
}
