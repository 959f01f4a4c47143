import { isJsonObject, type JsonObject } from '#base/json.ts'
import type { RequestFacts } from '#decision/exchange.ts'
import { type Ask, askOf, bodyOctets, unreadAsk } from './ask.ts'
import { OutputReading } from './output-bound.ts'
import { PromptTally } from './prompt.ts'

const samplingName = 'sampling_parameters'
/** Members in which vLLM's backend takes pictures. */
const imageNames: ReadonlySet<string> = new Set(['image', 'images'])

/**
 * What a call of Triton's generate extension asks for: options stand beside the text or in `parameters`, and a call is a
 * batch of one.
 *
 * @param body its JSON, `undefined` where that was not read
 */
export function generateAsk(request: RequestFacts, body: JsonObject | undefined): Ask {
  if (body === undefined) return unreadAsk(request, { hasBatch: false })
  const reading = new OutputReading()
  const prompt = new PromptTally()
  prompt.addConversation(false)
  const { parameters } = body
  for (const members of isJsonObject(parameters) ? [body, parameters] : [body]) {
    reading.readAll(members)
    reading.readText(members[samplingName])
  }
  for (const [name, value] of Object.entries(body)) {
    if (!imageNames.has(name)) prompt.addMessage(value as NonNullable<typeof value>)
    else for (const _ of Array.isArray(value) ? value : [value]) prompt.addImage()
  }
  return askOf({ octets: bodyOctets(request), inferences: 1, prompt, output: reading.result(1) })
}
