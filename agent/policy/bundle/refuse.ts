import { SluiceError } from '#base/errors.ts'

/** @throws SluiceError that names the bundle and the member. */
export function refuse(
  place: string,
  member: string,
  found: string,
  expected: string,
  cause?: unknown,
): never {
  throw new SluiceError({ code: 'bundle_refused', place: `${place}: ${member}`, found, expected, cause })
}
