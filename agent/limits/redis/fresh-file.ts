import { readFileSync } from 'node:fs'

/**
 * A file that is read again each time its text is wanted: passwords and certificates are replaced while the agent runs.
 * While it cannot be read, its last text counts.
 *
 * @throws Error where it cannot be read the first time
 */
export function freshFile(path: string): () => string {
  let text = readFileSync(path, 'utf8')
  return () => {
    try {
      text = readFileSync(path, 'utf8')
    } catch {
      // It is being replaced, or somebody took it away: whether the last text still serves, the server says.
    }
    return text
  }
}
