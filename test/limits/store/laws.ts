import type { Test } from 'tap'
import fc from '../../fast-check.ts'
import { breachOf } from './history.ts'
import { Reference } from './reference.ts'
import { Run } from './run.ts'
import { type Sequence, type Step, sequences } from './sequences.ts'
import { tableLaws } from './table-laws.ts'
import { expectSame, type LawOptions, openTrial, type Trial } from './trial.ts'

/** Runs all that a store promises against one. Each law opens its own. */
export function storeLaws(t: Test, options: LawOptions): void {
  const { name, numRuns = 200 } = options

  t.test(`${name}: every answer is that of a log which is read from its start`, async (t) => {
    await using trial = await openTrial(options)
    await check(numRuns, sequences({ hasDebts: true, hasFinal: true }), async (sequence) => {
      const run = new Run(sequence, trial.fresh(), trial.clock.timeUs)
      const reference = new Reference(trial.clock.timeUs)
      for (const step of sequence.steps) {
        await make(trial, run, step, async (call) => {
          const [found, wanted] = [await call(trial.store), call(reference)]
          expectSame(found, wanted, step)
          return found
        })
        expectSame(await trial.store.peek(run.charges(1)), reference.peek(run.charges(1)), { after: step })
      }
    })
    t.pass()
  })

  t.test(`${name}: in no window is more let through than the limit`, async (t) => {
    await using trial = await openTrial(options)
    await check(numRuns, sequences({ hasDebts: false, hasFinal: true, maxSteps: 60 }), async (sequence) => {
      const run = new Run(sequence, trial.fresh(), trial.clock.timeUs)
      for (const step of sequence.steps) await make(trial, run, step, (call) => call(trial.store))
      sequence.limits.forEach(({ rule, isEnforced }, index) => {
        const breach = isEnforced ? breachOf(rule, run.admitted(index)) : undefined
        if (breach !== undefined) throw new Error(breach)
      })
    })
    t.pass()
  })

  t.test(`${name}: what comes again changes nothing and is answered as before`, async (t) => {
    await using trial = await openTrial(options)
    await check(numRuns, sequences({ hasDebts: true, hasFinal: false }), async (sequence) => {
      const run = new Run(sequence, trial.fresh(), trial.clock.timeUs)
      for (const step of sequence.steps)
        await make(trial, run, step, async (call) => {
          const first = await call(trial.store)
          const before = await trial.store.peek(run.charges(1))
          const again = await call(trial.store)
          expectSame(again, repeated(first, again), step)
          expectSame(await trial.store.peek(run.charges(1)), before, { again: step })
          return first
        })
    })
    t.pass()
  })

  t.test(`${name}: a refusal changes no counter`, async (t) => {
    await using trial = await openTrial(options)
    await check(numRuns, sequences({ hasDebts: true, hasFinal: true }), async (sequence) => {
      const run = new Run(sequence, trial.fresh(), trial.clock.timeUs)
      for (const step of sequence.steps)
        await make(trial, run, step, async (call) => {
          const before = await trial.store.peek(run.charges(1))
          const answer = await call(trial.store)
          if (isRefusal(answer)) expectSame(await trial.store.peek(run.charges(1)), before, step)
          return answer
        })
    })
    t.pass()
  })

  t.test(`${name}: what was settled and what is held is what a counter says`, async (t) => {
    await using trial = await openTrial(options)
    const limit = 1_000_000
    const calendar = { spanAt: () => ({ startMs: 0, endMs: 8.64e15 }) }
    await check(numRuns, sequences({ hasDebts: false, hasFinal: true }), async (drawn) => {
      const rule = { kind: 'calendar' as const, limit, calendar }
      const limits = drawn.limits.map(() => ({ rule, isEnforced: true, debtCap: Number.POSITIVE_INFINITY }))
      const run = new Run({ limits, steps: drawn.steps }, trial.fresh(), trial.clock.timeUs)
      for (const step of drawn.steps) await make(trial, run, step, (call) => call(trial.store))
      const states = await trial.store.peek(run.charges(0))
      const used = limits.map((_, index) => run.admitted(index).reduce((sum, { units }) => sum + units, 0))
      expectSame(
        typeof states === 'string' ? states : states.map(({ remaining }) => limit - remaining),
        used,
        'in the end',
      )
    })
    t.pass()
  })

  tableLaws(t, name, () => openTrial(options))
}

/** What is to be answered again: a settlement was done, or what was unknown may have left a tombstone. */
function repeated(first: unknown, again: unknown): unknown {
  if (first === 'settled') return 'already'
  return first === 'unknown' && again === 'already' ? again : first
}

function isRefusal(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'kind' in answer && answer.kind === 'refused'
}

/** Lets time pass, or makes the call of a step in the way given and keeps what was granted. */
async function make(
  trial: Trial,
  run: Run,
  step: Step,
  ask: (call: NonNullable<ReturnType<Run['callOf']>>) => unknown,
): Promise<void> {
  if (step.do === 'wait') return trial.wait(step.us)
  const call = run.callOf(step)
  if (call !== undefined) run.note(step, await ask(call))
}

async function check(
  numRuns: number,
  sequence: fc.Arbitrary<Sequence>,
  law: (sequence: Sequence) => Promise<void>,
): Promise<void> {
  await fc.assert(fc.asyncProperty(sequence, law), { numRuns })
}
