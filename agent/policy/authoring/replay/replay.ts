import { messageOf } from '#base/errors.ts'
import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import { fromJsonText, toJson } from '../../values/json.ts'
import type { RegoValue } from '../../values/value.ts'
import { canonical, type Difference, firstDifference } from '../difference/difference.ts'
import { contextAt, type Trial } from '../trial/trial.ts'
import type { LoggedEvent } from './events.ts'

export { type LoggedEvent, readEvents } from './events.ts'
export { explain } from './explain.ts'

/** What a bundle says to a logged event. */
export interface Replayed {
  readonly event: LoggedEvent
  readonly decision: string
  readonly input: JsonValue | undefined
  readonly result: JsonValue | undefined
  readonly error?: string
  /** Where the logged result (`left`) and the new one (`right`) part first; absent too where nothing was logged. */
  readonly difference?: Difference
  /** Why the answer may not be the one that the request would have got. */
  readonly doubts: readonly string[]
}

/**
 * Asks a bundle about a logged event: at the event's time, with what its clock, tokens and dice said then.
 *
 * @param options.inputOf turns a recorded request into an input.
 * @param options.decision the entrypoint in place of the event's own.
 */
export async function replay(
  trial: Trial,
  event: LoggedEvent,
  options: {
    readonly inputOf: (value: JsonValue, place: string) => Promise<JsonValue>
    readonly decision?: string | undefined
  },
): Promise<Replayed> {
  const decision = options.decision ?? event.path ?? trial.decision
  const doubts = event.hidden.map(hiddenDoubt)
  const record = recordOf(event.recorded)
  const answer = (name: string, operands: readonly RegoValue[]) => {
    const said = record.get(name)?.get(canonical(toJson(operands)))
    // The event has a time of its own; every other call is made anew.
    if (said === undefined && name !== 'time.now_ns')
      doubts.push(`${name} was not recorded with these operands: it was asked anew, at the time of the event`)
    return said
  }
  if (event.atMs === undefined && event.isDecided) doubts.push('the event has no timestamp: the time is now')
  let input = event.input
  let result: JsonValue | undefined
  let error: string | undefined
  try {
    if (!trial.has(decision))
      throw new Error(
        `${trial.place} has no entrypoint ${decision}; it has ${trial.facts.entrypoints.join(', ')} (-e asks another)`,
      )
    if (input !== undefined && !event.isDecided) input = await options.inputOf(input, event.place)
    result = await trial.evaluate(decision, input, { ...contextAt(event.atMs), answer })
  } catch (thrown) {
    error = messageOf(thrown)
  }
  const isComparable = event.isDecided && error === undefined && event.error === undefined
  const difference = isComparable ? firstDifference(event.result, result) : undefined
  return {
    event,
    decision,
    input,
    result,
    ...(error !== undefined && { error }),
    ...(difference && { difference }),
    doubts: [...new Set(doubts)],
  }
}

function hiddenDoubt({ pointer, how }: LoggedEvent['hidden'][number]): string {
  return pointer.startsWith('/result')
    ? `${pointer} was ${how} before it was logged: the logged result is not what Rego said`
    : `${pointer} was ${how} before it was logged: the policy may have seen another value`
}

/** The log's `nd_builtin_cache` by what the calls were, whichever way their operands were written. */
function recordOf(recorded: JsonObject): ReadonlyMap<string, ReadonlyMap<string, RegoValue>> {
  return new Map(
    Object.entries(recorded).map(([name, calls]) => [
      name,
      new Map(
        Object.entries(isJsonObject(calls) ? calls : {}).map(([operands, value]) => [
          canonicalText(operands),
          fromJsonText(JSON.stringify(value)),
        ]),
      ),
    ]),
  )
}

function canonicalText(operands: string): string {
  try {
    return canonical(toJson(fromJsonText(operands)))
  } catch {
    // Written by somebody else: it will fit no call, and the call is named as not recorded.
    return operands
  }
}
