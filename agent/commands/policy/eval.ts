import { Command } from 'commander'
import { previewId, previewOf } from '#envoy/preview/preview.ts'
import { parseMoment, readInputFile } from '#policy/authoring/inputs/inputs.ts'
import { contextAt, loadTrial, verdictFor } from '#policy/authoring/trial/trial.ts'
import { orFail } from '../fail.ts'
import { printJson, printLines } from '../report.ts'
import { inputOf } from './captured.ts'
import {
  type EngineOptions,
  type KeyOptions,
  verificationOf,
  withEngineOption,
  withKeyOptions,
} from './options.ts'

interface EvalOptions extends EngineOptions, KeyOptions {
  readonly input?: string
  readonly entrypoint?: string
  readonly now?: string
  readonly verdict?: true
  readonly fail?: true
}

export function evalCommand(): Command {
  const command = new Command('eval')
    .description("Ask a bundle in the agent's engine and print what it says.")
    .argument('<bundle>', 'the bundle, tar.gz')
    .option('-i, --input <file>', 'the input, or a captured CheckRequest, in JSON; - for standard input')
    .option('-e, --entrypoint <path>', 'the decision; by default envoy/authz/allow or the only one')
    .option('--now <moment>', 'what the clock says, like 2026-03-01T09:30:00Z')
    .option('--verdict', 'print what HTTP would see of it')
    .option('--fail', 'exit with 1 where the result is undefined')
  return withKeyOptions(withEngineOption(command)).action(
    orFail(async (file: string, options: EvalOptions) => {
      const { input: path, now } = options
      const trial = await loadTrial(file, {
        decision: options.entrypoint,
        verification: verificationOf(options),
        engine: options.engine,
      })
      const input = path === undefined ? undefined : await inputOf(readInputFile(path), path)
      const atMs = now === undefined ? undefined : parseMoment(now, '--now')
      const result = await trial.evaluate(trial.decision, input, contextAt(atMs))
      if (options.verdict) printJson(previewOf(verdictFor(input, result, previewId), input))
      else if (result === undefined) printLines(['undefined'])
      else printJson(result)
      if (options.fail && result === undefined) process.exitCode = 1
    }),
  )
}
