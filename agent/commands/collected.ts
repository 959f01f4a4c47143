/** For an option that may be repeated: each value behind those before it. */
export function collected(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value]
}
