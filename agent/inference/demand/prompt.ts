import { isJsonObject, type JsonObject, type JsonValue } from '#base/json.ts'
import { unboundedAmount } from '#decision/usage.ts'
import { plus, times } from './amount.ts'

/** What a template puts around one message: role, separators, end of turn. */
const messageTokens = 16
/** What a template puts around a conversation: start marker, date, a system prompt of its own. */
const conversationTokens = 64
/** What a template says about tools before it lists them. */
const toolsTokens = 512
/** Around a member of an object that is written into the prompt: quotes, colon, comma, line break, indent. */
const structureTokens = 8
/** The most that a common encoder makes of one picture (Qwen2-VL's default limit). Octets say nothing: pixels compress. */
const imageTokens = 16_384
/** Sound at 6 kbit/s, the least that speech is coded with, has 750 octets for the 50 tokens a second of Whisper's encoder. */
const audioOctetsPerToken = 16
/** Lists of parts that nest deeper count as text. */
const maxPartDepth = 4
/** Of text one token has four octets, as a rule. */
const octetsPerToken = 4

type Media = 'image' | 'audio' | 'file' | 'source'

/** Members of a part of a message that hold no text. */
const media: ReadonlyMap<string, Media> = new Map([
  ['image_url', 'image'],
  ['image_embeds', 'file'],
  ['input_audio', 'audio'],
  ['audio_url', 'audio'],
  ['video_url', 'audio'],
  ['file', 'file'],
  ['file_data', 'file'],
  ['file_url', 'file'],
  ['file_id', 'file'],
  ['source', 'source'],
])

/** Counts what a prompt can come to at most. A byte-level tokenizer makes no more tokens of a text than it has octets. */
export class PromptTally {
  #ids = 0
  #octets = 0
  #isUnbounded = false

  get bound(): number {
    return this.#isUnbounded ? unboundedAmount : plus(this.#ids, this.#octets)
  }

  /** What it probably comes to, as far as it was seen. */
  get guess(): number {
    return plus(this.#ids, Math.ceil(this.#octets / octetsPerToken))
  }

  /** Token ids, which are what they are. */
  addIds(count: number): void {
    this.#ids = plus(this.#ids, count)
  }

  /** `unboundedAmount` for what can be of any length. */
  addOctets(count: number): void {
    if (count === unboundedAmount) this.#isUnbounded = true
    else this.#octets = plus(this.#octets, count)
  }

  /** Everything counted so far comes `factor` times. */
  repeat(factor: number): void {
    this.#ids = times(this.#ids, factor)
    this.#octets = times(this.#octets, factor)
  }

  addConversation(hasTools: boolean): void {
    this.addOctets(hasTools ? conversationTokens + toolsTokens : conversationTokens)
  }

  /** Text, or JSON that is written into the prompt. Without recursion: it may nest deeper than a stack. */
  addJson(value: JsonValue | undefined): void {
    const rest: (JsonValue | undefined)[] = [value]
    while (rest.length > 0) {
      const each = rest.pop()
      if (typeof each === 'string') this.addOctets(Buffer.byteLength(each))
      else if (typeof each === 'number') this.addOctets(String(each).length)
      else if (Array.isArray(each)) {
        this.addOctets(structureTokens * each.length)
        for (const item of each) rest.push(item)
      } else if (isJsonObject(each)) {
        for (const [name, member] of Object.entries(each)) {
          this.addOctets(Buffer.byteLength(name) + structureTokens)
          rest.push(member)
        }
      } else this.addOctets(structureTokens)
    }
  }

  /** One prompt or message: text, token ids, an object with a role and its content. */
  addMessage(message: JsonValue): void {
    this.addOctets(messageTokens)
    if (typeof message === 'number') this.addIds(1)
    else if (Array.isArray(message)) {
      if (message.every((id) => typeof id === 'number')) this.addIds(message.length)
      else this.addJson(message)
    } else if (isJsonObject(message)) this.#addPart(message, 0)
    else this.addJson(message)
  }

  addImage(): void {
    this.addOctets(imageTokens)
  }

  /** Octets of sound of which nobody reads more. */
  addAudio(octets: number): void {
    this.addOctets(Math.max(imageTokens, Math.ceil(octets / audioOctetsPerToken)))
  }

  #addPart(part: JsonObject, depth: number): void {
    this.addOctets(structureTokens)
    for (const [name, value] of Object.entries(part)) {
      const kind = media.get(name)
      if (kind !== undefined && depth > 0) this.#addMedia(kind, value)
      else if (name === 'content' && Array.isArray(value) && depth < maxPartDepth) {
        for (const item of value) {
          if (isJsonObject(item)) this.#addPart(item, depth + 1)
          else this.addJson(item)
        }
      } else this.addJson(value)
    }
  }

  #addMedia(kind: Media, value: JsonValue | undefined): void {
    if (kind === 'image') return this.addImage()
    const payload = new PromptTally()
    payload.addJson(value)
    if (kind === 'audio') return this.addAudio(payload.bound)
    const { type, media_type: mediaType } = (isJsonObject(value) ? value : {}) as JsonObject
    if (kind === 'source' && type !== 'base64' && type !== 'url' && type !== 'file')
      return this.addOctets(payload.bound)
    if (kind === 'source' && String(mediaType).startsWith('image/')) return this.addImage()
    this.addOctets(Math.max(imageTokens, payload.bound))
  }
}
