/** Schemes whose credentials are one token, in which there is no comma. */
const tokenSchemes = new Set(['bearer', 'dpop', 'basic', 'negotiate'])

/** Whether a value has nothing but visible ASCII, and blanks only inside: what every reader keeps as it is. */
export function textFault(value: string): string | undefined {
  const { length } = value
  if (length === 0) return 'is empty'
  // Five times as fast as a loop over a token, which is long; linear all the same.
  if (!/^[\x20-\x7e]+$/.test(value)) return 'has a control or non-ASCII byte'
  return value.charCodeAt(0) === 0x20 || value.charCodeAt(length - 1) === 0x20
    ? 'has a blank at an end'
    : undefined
}

/** The same, of a header that is no list: what somebody joined with a comma was several. */
export function listlessFault(value: string): string | undefined {
  return textFault(value) ?? (value.includes(',') ? 'has several values' : undefined)
}

/** A length in decimal, without a sign or leading zeros. */
export function lengthFault(value: string): string | undefined {
  return /^(?:0|[1-9]\d{0,15})$/.test(value) ? undefined : 'is no plain number'
}

/**
 * Credentials of one scheme. Envoy joins a repeated header with a comma, and parameters are separated by one too: behind
 * each comma there has to be a parameter.
 *
 * @see RFC 9110, section 11.4
 */
export function credentialsFault(value: string): string | undefined {
  const fault = textFault(value)
  if (fault !== undefined || !value.includes(',')) return fault
  const space = value.indexOf(' ')
  const scheme = (space === -1 ? value : value.slice(0, space)).toLowerCase()
  if (space === -1 || scheme.includes(',') || tokenSchemes.has(scheme)) return 'has several values'
  return value.split(',').every((part, index) => index === 0 || isParameter(part))
    ? undefined
    : 'has several values'
}

function isParameter(part: string): boolean {
  return /^ ?[A-Za-z0-9_-]+=/.test(part)
}
