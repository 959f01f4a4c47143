import { Command } from 'commander'
import { benchCommand } from './bench.ts'
import { buildCommand } from './build.ts'
import { diffCommand } from './diff.ts'
import { evalCommand } from './eval.ts'
import { replayCommand } from './replay.ts'
import { testCommand } from './test.ts'
import { verifyCommand } from './verify.ts'

export function policyCommand(): Command {
  return new Command('policy')
    .description('Write policies: build, verify, try, test, replay and compare bundles.')
    .addCommand(buildCommand())
    .addCommand(verifyCommand())
    .addCommand(evalCommand())
    .addCommand(testCommand())
    .addCommand(replayCommand())
    .addCommand(diffCommand())
    .addCommand(benchCommand())
}
