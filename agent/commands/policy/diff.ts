import { Command } from 'commander'
import { messageOf, SluiceError } from '#base/errors.ts'
import {
  type ChangeGroup,
  type Compared,
  changeText,
  groupChanges,
} from '#policy/authoring/compare/compare.ts'
import { readInputFile } from '#policy/authoring/inputs/inputs.ts'
import { readEvents, replay } from '#policy/authoring/replay/replay.ts'
import { contextAt, loadTrial, type Trial } from '#policy/authoring/trial/trial.ts'
import { orFail } from '../fail.ts'
import { printJson, printLines } from '../report.ts'
import { inputOf } from './captured.ts'
import { type EngineOptions, withEngineOption } from './options.ts'

interface DiffOptions extends EngineOptions {
  readonly inputs?: string[]
  readonly events?: string[]
  readonly entrypoint?: string
  readonly json?: true
  readonly fail?: true
}

/** Names printed of each group; `--json` has them all. */
const namesShown = 3

export function diffCommand(): Command {
  const command = new Command('diff')
    .description('Show which inputs two bundles decide differently.')
    .argument('<old>', 'the bundle that is in force')
    .argument('<new>', 'the bundle that would replace it')
    .option('--inputs <file...>', 'inputs or captured CheckRequests, one a file')
    .option('--events <file...>', 'decision-log events, whose input both are asked about')
    .option('-e, --entrypoint <path>', 'the decision to ask')
    .option('--json', 'print JSON')
    .option('--fail', 'exit with 1 where anything is decided differently')
  return withEngineOption(command).action(
    orFail(async (oldFile: string, newFile: string, options: DiffOptions) => {
      const { inputs = [], events = [], entrypoint, engine } = options
      if (inputs.length + events.length === 0)
        throw new SluiceError({
          code: 'option_missing',
          place: 'sluice policy diff',
          found: 'nothing to ask',
          expected: '--inputs FILES or --events FILES',
        })
      const trials = [
        await loadTrial(oldFile, { decision: entrypoint, engine }),
        await loadTrial(newFile, { decision: entrypoint, engine }),
      ] as const
      const compared = [
        ...(await fromInputs(trials, inputs)),
        ...(await fromEvents(trials, events, entrypoint)),
      ]
      const groups = groupChanges(compared)
      const changed = groups.reduce((sum, { count }) => sum + count, 0)
      if (options.json) printJson({ asked: compared.length, changed, groups })
      else printLines([...groups.flatMap(lines), `${compared.length} asked, ${changed} decided differently`])
      if (options.fail && changed > 0) process.exitCode = 1
    }),
  )
}

type Trials = readonly [Trial, Trial]

async function fromInputs([old, next]: Trials, files: readonly string[]): Promise<Compared[]> {
  const compared: Compared[] = []
  const context = contextAt()
  const ask = async (trial: Trial, input: Awaited<ReturnType<typeof inputOf>>) => {
    try {
      return { result: await trial.evaluate(trial.decision, input, context) }
    } catch (thrown) {
      return { result: undefined, error: messageOf(thrown) }
    }
  }
  for (const file of files) {
    const input = await inputOf(readInputFile(file), file)
    compared.push({ name: file, before: await ask(old, input), after: await ask(next, input) })
  }
  return compared
}

async function fromEvents(
  [old, next]: Trials,
  files: readonly string[],
  entrypoint?: string,
): Promise<Compared[]> {
  const compared: Compared[] = []
  for (const event of files.flatMap(readEvents)) {
    const ask = (trial: Trial) =>
      replay(trial, event, { inputOf, decision: entrypoint === undefined ? undefined : trial.decision })
    compared.push({ name: event.id, before: await ask(old), after: await ask(next) })
  }
  return compared
}

function lines({ difference, count, names }: ChangeGroup): string[] {
  const more = names.length > namesShown ? [`  … and ${names.length - namesShown} more`] : []
  return [
    `${changeText(difference)}  (${count})`,
    ...names.slice(0, namesShown).map((name) => `  ${name}`),
    ...more,
  ]
}
