import { Command } from 'commander'
import { shown } from '#policy/authoring/difference/difference.ts'
import { opaAt } from '#policy/authoring/opa/opa.ts'
import { explain, type Replayed, readEvents, replay } from '#policy/authoring/replay/replay.ts'
import { loadTrial } from '#policy/authoring/trial/trial.ts'
import { orFail } from '../fail.ts'
import { printJson, printLines, table } from '../report.ts'
import { inputOf } from './captured.ts'
import {
  collect,
  type EngineOptions,
  type KeyOptions,
  verificationOf,
  withEngineOption,
  withKeyOptions,
} from './options.ts'

interface ReplayOptions extends EngineOptions, KeyOptions {
  readonly entrypoint?: string
  readonly decisionId?: string
  readonly explain?: string[]
  readonly json?: true
  readonly fail?: true
  readonly opa?: string
}

export function replayCommand(): Command {
  const command = new Command('replay')
    .description(
      'Ask a bundle about decisions that were logged: as of their time, with what clocks and tokens said.',
    )
    .argument('<bundle>', 'the bundle, tar.gz')
    .argument(
      '<event...>',
      'decision-log events (JSON, JSON lines, uploads, gzip or not), or recorded requests',
    )
    .option('-e, --entrypoint <path>', "the decision to ask, in place of the event's own")
    .option('--decision-id <id>', 'only the event with this id')
    .option(
      '--explain <dir>',
      'print `opa eval --explain=full` on these sources beside it; may be repeated',
      collect,
    )
    .option('--json', 'print JSON')
    .option('--fail', 'exit with 1 where a decision is another one now')
    .option('--opa <file>', 'the `opa` to call, if not the one on PATH')
  return withKeyOptions(withEngineOption(command)).action(
    orFail(async (bundle: string, files: string[], options: ReplayOptions) => {
      const events = files
        .flatMap(readEvents)
        .filter(({ id }) => options.decisionId === undefined || id === options.decisionId)
      const trial = await loadTrial(bundle, {
        decision: options.entrypoint,
        verification: verificationOf(options),
        engine: options.engine,
      })
      const decision = options.entrypoint === undefined ? undefined : trial.decision
      const replayed: (Replayed & { readonly explanation?: string })[] = []
      for (const event of events) {
        const one = await replay(trial, event, { inputOf, decision })
        const explanation =
          options.explain === undefined ? undefined : await explain(opaAt(options.opa), options.explain, one)
        replayed.push({ ...one, ...(explanation !== undefined && { explanation }) })
      }
      if (options.json) printJson(replayed)
      else printLines([...replayed.flatMap(lines), summary(replayed)])
      if (options.fail && replayed.some(hasChanged)) process.exitCode = 1
    }),
  )
}

function hasChanged({ difference, error, event }: Replayed): boolean {
  return difference !== undefined || (error !== undefined && event.error === undefined)
}

function lines({ explanation, ...each }: Replayed & { readonly explanation?: string }): string[] {
  const { event, decision, difference, doubts, result, error } = each
  const rows: [string, string][] = [
    ['event', event.id],
    ['at', event.atMs === undefined ? '(no time)' : new Date(event.atMs).toISOString()],
    ['revision', event.revisions || '(none)'],
    ['decision', decision],
    ['logged', event.isDecided ? (event.error ?? shown(event.result)) : '(a request, not decided yet)'],
    ['now', error === undefined ? shown(result) : `failed: ${error}`],
  ]
  if (difference !== undefined) {
    const { path, left, right } = difference
    rows.push(['differs', `${path === '' ? 'as a whole' : `at ${path}`}: ${shown(left)} → ${shown(right)}`])
  }
  for (const doubt of doubts) rows.push(['unsure', doubt])
  return [
    ...table(rows),
    ...(explanation === undefined ? [] : ['opa eval --explain=full:', explanation.trimEnd()]),
    '',
  ]
}

function summary(replayed: readonly Replayed[]): string {
  const changed = replayed.filter(hasChanged).length
  const unsure = replayed.filter(({ doubts }) => doubts.length > 0).length
  return `${replayed.length} replayed, ${changed} changed, ${unsure} unsure`
}
