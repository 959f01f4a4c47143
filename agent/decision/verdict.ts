import type { JsonObject } from '#base/json.ts'
import type { Challenge, Demand } from './challenge.ts'
import type { ReasonCode } from './reasons.ts'

/** A header as it goes on the wire: lower-case name, value as text. */
export type Header = readonly [name: string, value: string]

/** What an allowed request has changed about it. Setting a header overwrites every value the client sent. */
export interface Mutations {
  readonly setHeaders?: readonly Header[]
  readonly removeHeaders?: readonly string[]
  readonly addResponseHeaders?: readonly Header[]
  readonly removeResponseHeaders?: readonly string[]
  /** Stands in place of the answer's body; only where all of it was seen. */
  readonly responseBody?: Uint8Array
  /** Stands in place of the request's body; only where all of it was seen. */
  readonly requestBody?: Uint8Array
  readonly setQuery?: readonly Header[]
  readonly removeQuery?: readonly string[]
  /** The version of the model that must answer; `envoy/` writes it into the path or the gRPC message. */
  readonly modelVersion?: string
  readonly dynamicMetadata?: JsonObject
}

/** A denial that a policy wrote itself: it replaces the status, text and headers of the reason's row. */
export interface OwnDenial {
  readonly httpStatus?: number
  readonly headers?: readonly Header[]
  readonly body?: string
  readonly dynamicMetadata?: JsonObject
}

/** A limit as clients are told of it. */
export interface QuotaNotice {
  /** `policy/limit` */
  readonly name: string
  /** What is counted, in the words of QuotaPolicy: requests, tokens. */
  readonly unit: string
  readonly quota: number
  /** The window or period, seconds; absent for concurrency. */
  readonly windowSeconds?: number
  readonly remaining: number
  /** When more will be there, seconds from now, rounded up. */
  readonly resetSeconds: number
}

/** What a stage says. `deny` is the caller's fault or a rule; `error` is ours, and refuses just the same. */
export type Verdict =
  | { readonly kind: 'allow'; readonly mutations: Mutations }
  | {
      readonly kind: 'deny'
      readonly reason: ReasonCode
      /** For the log and the audit record, never for the client. */
      readonly detail?: string
      readonly retryAfterSeconds?: number
      /** The limits that are why, as far as the client may be told of them. */
      readonly quotas?: readonly QuotaNotice[]
      /** What a better token must have, where one would help. */
      readonly demand?: Demand
      /** How the client is told; the pipeline writes it. */
      readonly challenge?: Challenge
      readonly own?: OwnDenial
      /** For the client, where whoever runs this chose to tell it more than the reason's text. */
      readonly clientDetail?: string
    }
  | {
      readonly kind: 'error'
      readonly reason: ReasonCode
      readonly cause: unknown
      readonly clientDetail?: string
      /** Told to Envoy as a failed call, so that its own failure mode decides. */
      readonly failsCall?: boolean
    }

export type Refusal = Exclude<Verdict, { kind: 'allow' }>

const noMutations: Mutations = {}

/** Go on, nothing to change. One shared value: the common answer costs no allocation. */
export const ALLOW: Verdict = { kind: 'allow', mutations: noMutations }

export function allowWith(mutations: Mutations): Verdict {
  return { kind: 'allow', mutations }
}

export function deny(reason: ReasonCode, detail?: string): Refusal {
  return detail === undefined ? { kind: 'deny', reason } : { kind: 'deny', reason, detail }
}

export function failure(reason: ReasonCode, cause: unknown): Refusal {
  return { kind: 'error', reason, cause }
}

/** Both sets of changes; where they name the same thing the later stage's is the one applied. */
export function mergeMutations(first: Mutations, later: Mutations): Mutations {
  if (later === noMutations) return first
  if (first === noMutations) return later
  const merged: { -readonly [K in keyof Mutations]: Mutations[K] } = { ...first, ...later }
  for (const key of ['setHeaders', 'addResponseHeaders', 'setQuery'] as const) {
    if (first[key] !== undefined && later[key] !== undefined) merged[key] = [...first[key], ...later[key]]
  }
  for (const key of ['removeHeaders', 'removeResponseHeaders', 'removeQuery'] as const) {
    if (first[key] !== undefined && later[key] !== undefined) merged[key] = [...first[key], ...later[key]]
  }
  if (first.dynamicMetadata !== undefined && later.dynamicMetadata !== undefined) {
    merged.dynamicMetadata = { ...first.dynamicMetadata, ...later.dynamicMetadata }
  }
  return merged
}
