import { Command } from 'commander'
import { messageOf } from '#base/errors.ts'
import type { JsonValue } from '#base/json.ts'
import { readInputFile } from '#policy/authoring/inputs/inputs.ts'
import { contextAt, loadTrial, type Trial } from '#policy/authoring/trial/trial.ts'
import { orFail } from '../fail.ts'
import { inputOf } from './captured.ts'
import { type KeyOptions, verificationOf, withKeyOptions } from './options.ts'
import { printJson, printLines, sizeText, table } from './report.ts'

interface VerifyOptions extends KeyOptions {
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
  return withKeyOptions(command).action(
    orFail(async (file: string, options: VerifyOptions) => {
      const trial = await loadTrial(file, {
        decision: options.entrypoint,
        verification: verificationOf(options),
        isStrict: true,
      })
      const input =
        options.input === undefined ? sample : await inputOf(readInputFile(options.input), options.input)
      const report = {
        bundle: file,
        decision: trial.decision,
        ...trial.facts,
        ...(await evaluated(trial, input)),
      }
      if (options.json) printJson(report)
      else printLines(lines(report))
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
    ['revision', report.revision || '(none)'],
    ['signed by', report.signedBy ?? '(not asked: no --key)'],
    ['roots', report.roots.map((root) => root || '/').join(', ')],
    ['entrypoints', report.entrypoints.join(', ')],
    ['builtins in the module', builtins.native.join(', ') || '(none)'],
    ['builtins of the agent', builtins.host.join(', ') || '(none)'],
    ['wasm', sizeText(report.wasmBytes)],
    ['data', sizeText(report.dataBytes)],
    ['memory', sizeText(report.memoryBytes)],
    ['load', `${report.loadMs.toFixed(1)} ms`],
    [`${report.decision}`, answer],
  ])
}
