import { Command } from 'commander'
import { readInputFile } from '#policy/authoring/inputs/inputs.ts'
import { measure } from '#policy/authoring/measure/measure.ts'
import { loadTrial } from '#policy/authoring/trial/trial.ts'
import { orFail } from '../fail.ts'
import { printJson, printLines, sizeText, table } from '../report.ts'
import { inputOf } from './captured.ts'
import { type EngineOptions, positiveInteger, withEngineOption } from './options.ts'

interface BenchOptions extends EngineOptions {
  readonly input?: string
  readonly entrypoint?: string
  readonly count: number
  readonly json?: true
}

export function benchCommand(): Command {
  const command = new Command('bench')
    .description("Measure what an evaluation costs in the agent's engine.")
    .argument('<bundle>', 'the bundle, tar.gz')
    .option('-i, --input <file>', 'the input, or a captured CheckRequest, in JSON; - for standard input')
    .option('-e, --entrypoint <path>', 'the decision; by default envoy/authz/allow or the only one')
    .option('-n, --count <number>', 'evaluations', positiveInteger, 10_000)
    .option('--json', 'print JSON')
  return withEngineOption(command).action(
    orFail(async (file: string, { input: path, entrypoint, count, json, engine }: BenchOptions) => {
      const trial = await loadTrial(file, { decision: entrypoint, engine })
      const input = path === undefined ? undefined : await inputOf(readInputFile(path), path)
      const measured = await measure(trial, input, count)
      if (json)
        return printJson({ bundle: file, engine: trial.facts.engine, decision: trial.decision, ...measured })
      const us = (value: number) => `${value.toFixed(1)} µs`
      printLines(
        table([
          ['engine', trial.facts.engine],
          ['decision', trial.decision],
          ['evaluations', String(measured.evaluations)],
          ['mean', us(measured.meanUs)],
          ['p50', us(measured.p50Us)],
          ['p90', us(measured.p90Us)],
          ['p99', us(measured.p99Us)],
          ['max', us(measured.maxUs)],
          ...(measured.memoryBytes === undefined
            ? []
            : ([['memory', sizeText(measured.memoryBytes)]] as const)),
        ]),
      )
    }),
  )
}
