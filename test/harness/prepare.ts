import { envoyBinary, hasTriton, type Progress, tritonInstall } from './components.ts'
import { conformanceArchive } from './conformance.ts'
import { goTool, goTools } from './go-tools.ts'

/** Brings every downloaded and built component into the cache, so that no test waits for one. */
export async function prepare(progress: Progress): Promise<void> {
  await envoyBinary(progress)
  if (hasTriton()) await tritonInstall(progress)
  progress('Building the Go peers (once; minutes on a fresh machine) …')
  // One after the other: each build uses every core.
  for (const name of goTools) await goTool(name)
  progress("Compiling OPA's own cases (once for each list of builtins) …")
  await conformanceArchive()
}
