import { Command } from 'commander'
import type { CallReport } from '#limits/admin/admin.ts'
import { orFail } from '../fail.ts'
import { printJson, printLines } from '../report.ts'
import { askQuota, columns, type SubjectOptions, withSubjectOptions } from './options.ts'
import { spanText } from './show.ts'

interface ExplainOptions extends SubjectOptions {
  readonly inferences?: string
  readonly inputTokens?: string
  readonly outputTokens?: string
  readonly cachedInputTokens?: string
  readonly reasoningTokens?: string
  readonly requestBytes?: string
  readonly responseBytes?: string
  readonly gpuMs?: string
}

interface Explanation {
  readonly answer: 'granted' | 'refused'
  readonly limits: readonly CallReport[]
}

export function quotaExplainCommand(): Command {
  const command = new Command('explain').description(
    'Say which limits a call is charged to, what it costs and what would become of it. Nothing is charged.',
  )
  return withSubjectOptions(command)
    .option('--inferences <n>', 'inferences; 1 if absent')
    .option('--input-tokens <n>', 'tokens of the prompt')
    .option('--output-tokens <n>', 'tokens of the answer')
    .option('--cached-input-tokens <n>', 'of the prompt, those from a cache')
    .option('--reasoning-tokens <n>', 'of the answer, those that are not shown')
    .option('--request-bytes <n>', "the request's body")
    .option('--response-bytes <n>', "the answer's body")
    .option('--gpu-ms <n>', 'milliseconds of computation')
    .option('--fail', 'exit with 1 where the call would be refused')
    .action(
      orFail(async (options: ExplainOptions & { readonly fail?: true }) => {
        const { inferences, inputTokens, outputTokens, cachedInputTokens } = options
        const { reasoningTokens, requestBytes, responseBytes, gpuMs } = options
        const explanation = (await askQuota('explain', options, {
          inferences,
          inputTokens,
          outputTokens,
          cachedInputTokens,
          reasoningTokens,
          requestBytes,
          responseBytes,
          gpuMs,
        })) as Explanation
        if (options.json) printJson(explanation)
        else printLines(lines(explanation))
        if (options.fail && explanation.answer === 'refused') process.exitCode = 1
      }),
    )
}

function lines({ answer, limits }: Explanation): string[] {
  if (limits.length === 0) return ['granted: no limit applies']
  const head = ['LIMIT', 'UNIT', 'MODE', 'COST', 'LEFT', 'ANSWER', 'COUNTER']
  const rows = limits.map((each) => [
    each.limit,
    each.unit,
    each.mode,
    each.cost === undefined ? '?' : String(each.cost),
    String(each.remaining),
    answerText(each),
    each.counter,
  ])
  return [answer, ...columns([head, ...rows])]
}

function answerText({ answer, retrySeconds }: CallReport): string {
  switch (answer) {
    case 'granted':
      return 'passes'
    case 'over':
      return `in ${spanText(retrySeconds ?? 0)}`
    case 'never':
      return 'never: it costs more than the limit'
    case 'no_cost':
      return 'the cost is no number'
    case 'lost':
      return 'refused: the store lost what was used; "sluice quota reset" ends it'
    default:
      return answer satisfies never
  }
}
