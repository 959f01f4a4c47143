import type { JsonObject } from '#base/json.ts'
import { times, wholeAmount } from './amount.ts'

/** What a request says of how much may be generated. */
export interface OutputBound {
  readonly tokens: number
  readonly isBounded: boolean
  /** How many answers are made. */
  readonly answers: number
}

export const noOutput: OutputBound = { tokens: 0, isBounded: true, answers: 1 }
export const openOutput: OutputBound = { tokens: 0, isBounded: false, answers: 1 }

/** Names under which OpenAI's API, vLLM and TensorRT-LLM take the bound of one answer. */
export const limitNames = [
  'max_tokens',
  'max_completion_tokens',
  'max_output_tokens',
  'max_new_tokens',
  'request_output_len',
] as const

/** Names under which they take how many answers are made; of `n` and `best_of` the larger counts. */
export const answerNames = ['n', 'best_of', 'beam_width', 'num_return_sequences'] as const

/** Reads the bound, where what says it is spread over several places. */
export class OutputReading {
  #limit: number | undefined
  #choices = 1
  #beams = 1
  #isReadable = true

  /** One member or tensor of any name; `undefined` and null are as good as absent. */
  read(name: string, value: unknown): void {
    if (value === undefined || value === null) return
    const isLimit = (limitNames as readonly string[]).includes(name)
    if (!isLimit && !(answerNames as readonly string[]).includes(name)) return
    const amount = wholeAmount(value, 1)
    // Servers read what is odd (0, -1, digits in quotes) each in its own way.
    if (amount === undefined) this.#isReadable = false
    if (isLimit) this.#limit = Math.max(this.#limit ?? 0, amount ?? 0)
    else this.#multiply(name, amount ?? laxAmount(value))
  }

  #multiply(name: string, answers: number): void {
    if (name === 'n' || name === 'best_of') this.#choices = Math.max(this.#choices, answers)
    else this.#beams = times(this.#beams, answers)
  }

  readAll(members: JsonObject): void {
    for (const name of limitNames) this.read(name, members[name])
    for (const name of answerNames) this.read(name, members[name])
  }

  /** vLLM's sampling parameters, JSON in a text. */
  readText(text: unknown): void {
    if (text === undefined || text === null) return
    let members: unknown
    try {
      members = typeof text === 'string' ? JSON.parse(text) : text
    } catch {
      this.#isReadable = false
      return
    }
    if (typeof members !== 'object' || members === null || Array.isArray(members)) this.#isReadable = false
    else this.readAll(members as JsonObject)
  }

  /** What says something cannot be read. */
  giveUp(): void {
    this.#isReadable = false
  }

  /** The bound where so many prompts are answered. */
  result(prompts: number): OutputBound {
    const answers = times(times(this.#choices, this.#beams), prompts)
    if (!this.#isReadable || this.#limit === undefined) return { ...openOutput, answers }
    return { tokens: times(this.#limit, answers), isBounded: true, answers }
  }
}

/** As the most lenient server would read it: digits in quotes, a fraction. 1 where it is no number. */
function laxAmount(value: unknown): number {
  const number = typeof value === 'string' ? Number(value.replaceAll('_', '')) : value
  return typeof number === 'number' && number > 1 ? times(Math.ceil(number), 1) : 1
}
