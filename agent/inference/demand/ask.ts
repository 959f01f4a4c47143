import type { RequestFacts } from '#decision/exchange.ts'
import type { Demand } from '#decision/usage.ts'
import { unboundedAmount } from '#decision/usage.ts'
import { noOutput, type OutputBound, openOutput } from './output-bound.ts'
import { PromptTally } from './prompt.ts'

/** What a call asks for. */
export interface Ask {
  readonly demand: Demand
  /** What its input probably takes, where nobody reports it; never more than the bound. */
  readonly likely: {
    readonly inferences: number
    readonly inputTokens: number
    readonly requestBytes: number
  }
  /** Whether the answer begins with the text of the prompt. */
  readonly isEchoed: boolean
}

/** Octets of the request's body: those seen, or those that its length names; `unboundedAmount` where nothing tells. */
export function bodyOctets({ api, body, isBodyComplete, headers }: RequestFacts): number {
  if (isBodyComplete && body !== undefined) return body.length
  const length = headers.contentLength()
  if (length !== undefined) return Math.max(length, body?.length ?? 0)
  // Admission alone is often asked without the body, whether there is one or not.
  return isBodyComplete && api === 'ext_proc' ? 0 : unboundedAmount
}

/** Whether the body is compressed, so that its octets say nothing of its contents. */
export function isBodyEncoded({ headers }: RequestFacts): boolean {
  const encodings = headers.all('content-encoding')
  return encodings.some((encoding) => encoding.toLowerCase() !== 'identity')
}

/** Puts a demand together. What nobody can tell beforehand (octets of the answer, computation) is 0, and charged as it comes. */
export function askOf(asked: {
  /** Of the request's body, and those of them that were seen where nobody knows how many it has. */
  readonly octets: number
  readonly seenOctets?: number
  readonly inferences: number
  readonly prompt: PromptTally
  readonly output: OutputBound
  readonly isEchoed?: boolean
}): Ask {
  const { inferences, prompt, output } = asked
  return {
    demand: {
      bound: {
        inferences: Math.max(1, inferences),
        inputTokens: prompt.bound,
        outputTokens: output.tokens,
        cachedInputTokens: prompt.bound,
        reasoningTokens: output.tokens,
        requestBytes: asked.octets,
        responseBytes: 0,
        gpuMs: 0,
      },
      isOutputBounded: output.isBounded,
      answers: output.answers,
    },
    likely: {
      inferences: asked.inferences === unboundedAmount ? 1 : Math.max(1, asked.inferences),
      inputTokens: prompt.guess,
      requestBytes: asked.octets === unboundedAmount ? (asked.seenOctets ?? 0) : asked.octets,
    },
    isEchoed: asked.isEchoed === true,
  }
}

/** What a call asks for at most of which the body was not read: a token and, in a batch, an inference for each octet. */
export function unreadAsk(
  request: RequestFacts,
  options: { readonly hasBatch: boolean; readonly output?: OutputBound },
): Ask {
  const octets = bodyOctets(request)
  const contents = isBodyEncoded(request) ? unboundedAmount : octets
  const prompt = new PromptTally()
  prompt.addOctets(contents)
  prompt.addConversation(true)
  return askOf({
    octets,
    seenOctets: request.body?.length ?? 0,
    inferences: options.hasBatch ? contents : 1,
    prompt,
    output: options.output ?? openOutput,
  })
}

/** What a request of no known protocol asks for: without a body a model has nothing to compute from. */
export function unknownAsk(request: RequestFacts): Ask {
  const octets = bodyOctets(request)
  const prompt = new PromptTally()
  prompt.addOctets(octets > 0 && isBodyEncoded(request) ? unboundedAmount : octets)
  return askOf({
    octets,
    seenOctets: request.body?.length ?? 0,
    inferences: 1,
    prompt,
    output: octets > 0 ? openOutput : noOutput,
  })
}

/** Reads at the first call, and remembers. */
export function once<T>(read: () => T): () => T {
  let source: (() => T) | undefined = read
  let value: T
  return () => {
    if (source !== undefined) {
      value = source()
      source = undefined
    }
    return value
  }
}
