import { z } from 'zod'
import type { JsonValue } from '#base/json.ts'
import { allowWith, deny, failure, type Mutations, type Verdict } from '#decision/verdict.ts'
import { envoyStatus, headerNames, headers, dynamicMetadata as metadata } from '../result-schema.ts'
import { withDoubles } from '../values/json.ts'
import type { Answer } from './answer.ts'
import { parsePointer, redacted } from './redact.ts'

/** What a policy may say about an answer; other keys are ignored, as those about the request are. */
const resultSchema = z.object({
  allowed: z.boolean(),
  response_headers_to_add: headers.optional(),
  response_headers_to_remove: headerNames.optional(),
  redact: z
    .array(
      z.string().transform((text, context) => {
        const pointer = parsePointer(text)
        if (pointer !== undefined) return pointer
        context.addIssue({ code: 'custom', message: `expected a JSON pointer below the root, not ${text}` })
        return z.NEVER
      }),
    )
    .optional(),
  http_status: envoyStatus.optional(),
  headers: headers.optional(),
  body: z.string().optional(),
  dynamic_metadata: metadata.optional(),
})

/** What Rego said about an answer, as a verdict. What should be redacted and cannot be is not shown at all. */
export function answerVerdictOf(result: JsonValue | undefined, answer: Answer, decisionId: string): Verdict {
  if (result === undefined) return deny('policy_undefined')
  if (result === true) return allowWith(rewritten(answer, []))
  if (result === false) return deny('policy_answer_denied')
  const parsed = resultSchema.safeParse(withDoubles(result))
  if (!parsed.success) return failure('policy_result_invalid', new Error(z.prettifyError(parsed.error)))
  const { allowed, redact = [], dynamic_metadata, ...rest } = parsed.data
  const dynamicMetadata = dynamic_metadata && { ...dynamic_metadata, decision_id: decisionId }
  if (!allowed) {
    return {
      kind: 'deny',
      reason: 'policy_answer_denied',
      own: {
        ...(dynamicMetadata && { dynamicMetadata }),
        ...(rest.http_status !== undefined && { httpStatus: rest.http_status }),
        ...(rest.headers !== undefined && { headers: rest.headers }),
        ...(rest.body !== undefined && { body: rest.body }),
      },
    }
  }
  if (redact.length > 0 && answer.json === undefined && answer.isEmpty !== true)
    return deny('redaction_impossible', 'the whole answer is not there as JSON')
  const mutations: Mutations = {
    ...(dynamicMetadata && { dynamicMetadata }),
    ...(rest.response_headers_to_add !== undefined && { addResponseHeaders: rest.response_headers_to_add }),
    ...(rest.response_headers_to_remove !== undefined && {
      removeResponseHeaders: rest.response_headers_to_remove,
    }),
    ...rewritten(answer, redact),
  }
  return allowWith(mutations)
}

/** The body without what is redacted. One that others may read otherwise is written anew all the same. */
function rewritten(
  { json, isAmbiguous }: Answer,
  redact: readonly (readonly string[])[],
): Pick<Mutations, 'responseBody'> {
  if (json === undefined || (redact.length === 0 && isAmbiguous !== true)) return {}
  return { responseBody: Buffer.from(JSON.stringify(redacted(json, redact))) }
}
