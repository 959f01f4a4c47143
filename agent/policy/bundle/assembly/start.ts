import { createCompiledEngine } from '../../compiled/compiled.ts'
import { type Engine, EvaluationError, type StartEngine } from '../../engine/engine.ts'
import type { Assembly } from './assemble.ts'

/** One engine on all that was assembled. */
export async function startAssembly({ policies, answers }: Assembly, start: StartEngine): Promise<Engine> {
  const engines: Engine[] = []
  try {
    for (const policy of policies)
      engines.push('plan' in policy ? createCompiledEngine(policy) : await start(policy))
  } catch (cause) {
    await closeAll(engines)
    throw cause
  }
  const [only] = engines
  return only !== undefined && engines.length === 1 ? only : dispatching(engines, answers)
}

function dispatching(engines: readonly Engine[], answers: ReadonlyMap<string, number>): Engine {
  return {
    entrypoints: new Set(answers.keys()),
    builtins: [...new Set(engines.flatMap(({ builtins }) => builtins))],
    readsValue: engines.every(({ readsValue }) => readsValue === true),
    evaluate: (entrypoint, input, context) => {
      const engine = engines[answers.get(entrypoint) ?? -1]
      if (engine === undefined) throw new EvaluationError(`the policy has no entrypoint ${entrypoint}`)
      return engine.evaluate(entrypoint, input, context)
    },
    [Symbol.asyncDispose]: () => closeAll(engines),
  }
}

async function closeAll(engines: readonly Engine[]): Promise<void> {
  await Promise.all(engines.map((engine) => engine[Symbol.asyncDispose]?.()))
}
