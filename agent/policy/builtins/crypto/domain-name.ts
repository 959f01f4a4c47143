/**
 * Whether it may stand as a name in a certificate, by the few rules Go holds to; a constraint may begin with a dot.
 */
export function isDomainName(name: string, isConstraint: boolean): boolean {
  if (name === '') return true
  if (name.endsWith('.')) return false
  const plain = isConstraint && name.startsWith('.') ? name.slice(1) : name
  return /^[!-~]+$/.test(plain) && !plain.startsWith('.') && !plain.includes('..')
}

export interface Mailbox {
  readonly local: string
  readonly domain: string
}

/** In quotes, what is no quote and no backslash; line ends, NUL and a tab are none of it. */
const isQuotedText = (code: number) => isQuotedPair(code) && code !== 9 && code !== 0x22 && code !== 0x5c
const isQuotedPair = (code: number) => code > 0 && code < 128 && code !== 10 && code !== 13
const atomText = /^[A-Za-z0-9!#$%&'*+\-/=?^_`{|}~.]$/

/** A mail address, as loosely as Go reads one; undefined where it is none. @see RFC 2821, 4.1.2; RFC 3696, 3 */
export function parseMailbox(address: string): Mailbox | undefined {
  let at = 0
  let local = ''
  if (address.startsWith('"')) {
    for (at = 1; address[at] !== '"'; at++) {
      const isEscaped = address[at] === '\\'
      if (isEscaped) at++
      const character = address[at]
      if (character === undefined || !(isEscaped ? isQuotedPair : isQuotedText)(character.charCodeAt(0)))
        return undefined
      local += character
    }
    at++
  } else {
    for (; at < address.length; at++) {
      // RFC 3696 has escapes outside of quotes, too.
      const isEscaped = address[at] === '\\'
      if (isEscaped && at + 1 === address.length) return undefined
      if (isEscaped) at++
      const character = address[at] as string
      if (!isEscaped && !atomText.test(character)) break
      local += character
    }
    if (local === '' || local.startsWith('.') || local.endsWith('.') || local.includes('..')) return undefined
  }
  if (address[at] !== '@') return undefined
  const domain = address.slice(at + 1)
  if (domain !== '' && !isLabels(domain)) return undefined
  return { local, domain }
}

/** Labels of what is printable, none empty. */
function isLabels(domain: string): boolean {
  return /^[!-~]+$/.test(domain) && domain.split('.').every((label) => label !== '')
}

/** ASCII only: a name must not change under another alphabet's rules. */
export function lowerAscii(name: string): string {
  return name.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}
