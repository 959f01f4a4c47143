import { Command } from 'commander'
import { SluiceError } from '#base/errors.ts'
import { previewOf } from '#envoy/preview/preview.ts'
import { type CaseOutcome, findCaseFiles, readCaseFile, runCases } from '#policy/authoring/cases/cases.ts'
import { shown } from '#policy/authoring/difference/difference.ts'
import { loadTrial } from '#policy/authoring/trial/trial.ts'
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

interface TestOptions extends EngineOptions, KeyOptions {
  readonly entrypoint?: string
  readonly verbose?: true
  readonly json?: true
}

/** As `opa test` does: 1 where it could not test, 2 where a test fails. */
const failedExitCode = 2

export function testCommand(): Command {
  const command = new Command('test')
    .description('Run *.case.yaml (input and what must come of it) against the bundle that will be in force.')
    .argument('<bundle>', 'the bundle, tar.gz')
    .argument('<case...>', '*.case.yaml files, or folders of them')
    .option('-e, --entrypoint <path>', 'the decision of cases that name none')
    .option('-v, --verbose', 'print the cases that pass, too')
    .option('--json', 'print JSON')
  return withKeyOptions(withEngineOption(command)).action(
    orFail(async (bundle: string, paths: string[], options: TestOptions) => {
      const files = paths.flatMap(findCaseFiles)
      if (files.length === 0)
        throw new SluiceError({
          code: 'cases_missing',
          place: paths.join(', '),
          found: 'no case files',
          expected: 'files that end in .case.yaml',
        })
      // All of them first: a mistake in the last one is told before minutes of tests.
      const read = files.map((file) => ({ file, cases: readCaseFile(file) }))
      const trial = await loadTrial(bundle, {
        decision: options.entrypoint,
        verification: verificationOf(options),
        engine: options.engine,
      })
      const groups: { readonly file: string; readonly outcomes: readonly CaseOutcome[] }[] = []
      for (const { file, cases } of read)
        groups.push({ file, outcomes: await runCases(trial, cases, { inputOf, previewOf }) })
      const all = groups.flatMap(({ outcomes }) => outcomes)
      if (options.json) printJson(all)
      else printLines([...groups.flatMap((group) => groupLines(group, options)), ...summary(all)])
      if (all.some(({ state }) => state !== 'pass')) process.exitCode = failedExitCode
    }),
  )
}

function groupLines(
  { file, outcomes }: { readonly file: string; readonly outcomes: readonly CaseOutcome[] },
  { verbose }: TestOptions,
): string[] {
  const told = outcomes.filter(({ state }) => verbose || state !== 'pass')
  return told.length === 0 ? [] : [`${file}:`, ...told.flatMap(outcomeLines)]
}

function outcomeLines({ name, place, state, durationMs, difference, error }: CaseOutcome): string[] {
  const head = `${name}: ${state.toUpperCase()} (${durationMs.toFixed(2)}ms)`
  if (error !== undefined) return [head, `  ${place}: ${error}`]
  if (difference === undefined) return [head]
  const { of, path, left, right } = difference
  return [
    head,
    `  ${place}: ${of}${path === '' ? '' : ` at ${path}`} is ${shown(left)}, expected ${shown(right)}`,
  ]
}

function summary(outcomes: readonly CaseOutcome[]): string[] {
  const total = outcomes.length
  const count = (state: CaseOutcome['state']) => outcomes.filter((each) => each.state === state).length
  const lines = (['pass', 'fail', 'error'] as const)
    .filter((state) => count(state) > 0)
    .map((state) => `${state.toUpperCase()}: ${count(state)}/${total}`)
  return count('pass') === total ? lines : ['-'.repeat(80), ...lines]
}
