import { readFileSync } from 'node:fs'

/** A token, or the file that has it. */
export interface Bearer {
  readonly token?: string | undefined
  readonly token_path?: string | undefined
  readonly scheme?: string | undefined
}

/** The header for a call; the file is read anew each time. */
export function bearerHeader(bearer: Bearer | undefined): Readonly<Record<string, string>> {
  if (bearer === undefined) return {}
  const token =
    bearer.token_path === undefined ? (bearer.token ?? '') : readFileSync(bearer.token_path, 'utf8').trim()
  return { authorization: `${bearer.scheme ?? 'Bearer'} ${token}` }
}
