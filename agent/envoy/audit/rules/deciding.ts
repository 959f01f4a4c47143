import type { JsonObject } from '#base/json.ts'
import { isOn, isSet } from '../rule.ts'
import { at } from '../tree.ts'

/** Nobody waits longer for a decision. */
export const maxTimeoutSeconds = 60

/** Statuses that say that something failed or was refused. */
export const failingStatuses = [
  ...['BadRequest', 'Unauthorized', 'Forbidden', 'NotFound', 'TooManyRequests'],
  ...['InternalServerError', 'BadGateway', 'ServiceUnavailable', 'GatewayTimeout'],
] as const

/** Whether rules for header mutations drop some of the agent's, and do not refuse the request for it. */
export const areMutationsDropped = (path: string) => (filter: JsonObject) => {
  const rules = at(filter, path)
  if (rules === undefined || at(rules, 'disallow_is_error') === true) return false
  const one = rules as JsonObject
  return isOn('disallow_all')(one) || isOn('disallow_system')(one) || isSet('disallow_expression')(one)
}
