import { Command } from 'commander'
import { messageOf } from '#base/errors.ts'
import type { JsonValue } from '#base/json.ts'
import { readInputFile } from '#policy/authoring/inputs/inputs.ts'
import { contextAt, loadTrials, type Trial } from '#policy/authoring/trial/trial.ts'
import { orFail } from '../fail.ts'
import { printJson, printLines, sizeText, table } from '../report.ts'
import { inputOf } from './captured.ts'
import {
  type EngineOptions,
  type KeyOptions,
  verificationOf,
  withEngineOption,
  withKeyOptions,
} from './options.ts'

interface VerifyOptions extends EngineOptions, KeyOptions {
  readonly entrypoint?: string
  readonly input?: string
  readonly json?: true
}

/** A small request, for a first evaluation. */
const sample: JsonValue = {
  attributes: {
    request: { http: { method: 'POST', path: '/v2/models/sample/infer', headers: { ':method': 'POST' } } },
  },
  version: { ext_authz: 'v3', encoding: 'protojson' },
  parsed_path: ['v2', 'models', 'sample', 'infer'],
  parsed_query: {},
  parsed_body: null,
  truncated_body: false,
  serving: { phase: 'request', protocol: 'v2-http', model: { verb: 'infer', name: 'sample' } },
}

export function verifyCommand(): Command {
  const command = new Command('verify')
    .description(
      'Load a bundle as the agent would and show what it is; fails where the agent would refuse it.',
    )
    .argument('<bundle>', 'the bundle, tar.gz')
    .option('-e, --entrypoint <path>', 'the decision that the agent is configured for')
    .option(
      '-i, --input <file>',
      'an input or a captured CheckRequest to evaluate; a small request if absent',
    )
    .option('--json', 'print JSON')
  return withKeyOptions(withEngineOption(command)).action(
    orFail(async (file: string, options: VerifyOptions) => {
      const trials = await loadTrials(file, {
        decision: options.entrypoint,
        verification: verificationOf(options),
        engine: options.engine,
        isStrict: true,
      })
      const input =
        options.input === undefined ? sample : await inputOf(readInputFile(options.input), options.input)
      const reports: Report[] = []
      for (const trial of trials)
        reports.push({
          bundle: file,
          decision: trial.decision,
          ...trial.facts,
          ...(await evaluated(trial, input)),
        })
      if (options.json) printJson(reports)
      else printLines(reports.flatMap((report, index) => [...(index === 0 ? [] : ['']), ...lines(report)]))
    }),
  )
}

/** A policy that fails on a sample is no reason to refuse the bundle, but one to look at it. */
async function evaluated(trial: Trial, input: JsonValue) {
  const began = performance.now()
  const elapsedUs = () => Math.round((performance.now() - began) * 1000)
  try {
    const result = await trial.evaluate(trial.decision, input, contextAt())
    return { evaluationUs: elapsedUs(), result: result ?? null, isUndefined: result === undefined }
  } catch (thrown) {
    return { evaluationUs: elapsedUs(), error: messageOf(thrown) }
  }
}

type Report = Trial['facts'] &
  Awaited<ReturnType<typeof evaluated>> & { readonly bundle: string; readonly decision: string }

function lines(report: Report): string[] {
  const { builtins, evaluationUs } = report
  const answer =
    report.error !== undefined
      ? `failed: ${report.error}`
      : `${report.isUndefined ? 'undefined' : JSON.stringify(report.result)} in ${evaluationUs} µs`
  return table([
    ['bundle', report.bundle],
    ['engine', report.engine],
    ['revision', report.revision || '(none)'],
    ['signed by', report.signedBy ?? '(not asked: no --key)'],
    ['roots', report.roots.map((root) => root || '/').join(', ')],
    ['entrypoints', report.entrypoints.join(', ')],
    [
      report.engine === 'wasm' ? 'builtins in the module' : 'builtins of the engine',
      builtins.native.join(', ') || '(none)',
    ],
    ['builtins of the agent', builtins.host.join(', ') || '(none)'],
    ...sized('wasm', report.wasmBytes),
    ...sized('plan', report.planBytes),
    ['data', sizeText(report.dataBytes)],
    ...sized('memory', report.memoryBytes),
    ['load', `${report.loadMs.toFixed(1)} ms`],
    [`${report.decision}`, answer],
  ])
}

function sized(name: string, bytes: number | undefined): (readonly [string, string])[] {
  return bytes === undefined ? [] : [[name, sizeText(bytes)]]
}
