import type { JsonObject } from '#base/json.ts'
import { createCompiledEngine } from '../compiled/compiled.ts'
import { type Engine, startEngine } from './engine.ts'
import { startIsolatedEngine } from './isolated/isolated.ts'
import { preparePolicy } from './prepared.ts'

/** What evaluates: the module of a bundle, or its plan as JavaScript. */
export type EngineChoice = 'wasm' | 'compiled'

/** How engines are started, and of what. */
export interface StartEngine {
  /** What bundles must have been built for (`opa build -t`). */
  readonly target: 'wasm' | 'plan'
  /** @throws SluiceError when the artefact is none or needs what there is not. */
  start(policy: {
    readonly artefact: Buffer
    readonly data: JsonObject
    /** Named in errors. */
    readonly place: string
  }): Promise<Engine>
}

/** The module's data is copied in slices, so that nobody has to wait; `isolation` puts it into a thread of its own. */
export function starterFor(
  choice: EngineChoice,
  isolation?: { readonly deadlineMs: number; readonly onEnded: (why: string) => void },
): StartEngine {
  if (choice === 'compiled')
    return {
      target: 'plan',
      start: async ({ artefact, ...rest }) => createCompiledEngine({ plan: artefact.toString(), ...rest }),
    }
  return {
    target: 'wasm',
    start: ({ artefact, ...rest }) => {
      const prepared = preparePolicy({ wasm: artefact, ...rest })
      return isolation === undefined ? startEngine(prepared) : startIsolatedEngine(prepared, isolation)
    },
  }
}
