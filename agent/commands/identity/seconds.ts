import { SluiceError } from '#base/errors.ts'

/** Whole seconds between bounds. @throws SluiceError for any other text. */
export function readSeconds(
  option: string,
  text: string,
  { least, most }: { readonly least: number; readonly most: number },
): number {
  const seconds = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
  if (seconds >= least && seconds <= most) return seconds
  throw optionInvalid(option, JSON.stringify(text), `seconds from ${least} to ${most}`)
}

const mostWaitSeconds = 3600

/** How long to wait, in milliseconds; parts of a second are fine. @throws SluiceError for any other text. */
export function readWaitMs(text: string): number {
  const seconds = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN
  if (seconds <= mostWaitSeconds) return seconds * 1000
  throw optionInvalid('--wait', JSON.stringify(text), `seconds from 0 to ${mostWaitSeconds}`)
}

export function optionInvalid(place: string, found: string, expected: string): SluiceError {
  return new SluiceError({ code: 'option_invalid', place, found, expected })
}
