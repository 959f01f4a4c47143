/** Octets or text that are not what a format says. Whoever reads them says what that means for the caller. */
export class MalformedError extends Error {
  override readonly name = 'MalformedError'
}
