import { createHmac, timingSafeEqual } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf, SluiceError } from '#base/errors.ts'

/** Nonces that the server gives out for proofs of possession. */
export interface DpopNonces {
  /** That of now. */
  current(): string
  /** `fresh` is that of now or of a replica whose clock is ahead; `old` is the one before it, which is taken as well. */
  check(nonce: string): 'fresh' | 'old' | 'wrong'
}

export interface NonceOptions {
  /** One secret a line, the first of which makes nonces; all of them are taken, so that it can be replaced. */
  readonly secretFile: string
  /** For how long one nonce is given out; it is taken for up to twice as long. */
  readonly rotationSeconds: number
  readonly clock?: Clock
}

const minSecretCharacters = 32

/** The nonces of one turn of the clock, one for each secret. */
interface Turn {
  readonly number: number
  readonly now: readonly Buffer[]
  readonly before: readonly Buffer[]
  readonly next: readonly Buffer[]
  readonly current: string
}

/**
 * Nonces without state: a MAC over the number of the time span, so that every replica with the same secret takes what
 * another gave out. The file is read once for each span; what cannot be read then leaves the last secrets in force.
 *
 * @throws SluiceError where the file cannot be used at the start.
 * @see RFC 9449, 8 and 9
 */
export function createNonces(options: NonceOptions): DpopNonces {
  const { secretFile, rotationSeconds, clock = systemClock } = options
  let secrets = readSecrets(secretFile)
  let turn: Turn | undefined

  function turnOfNow(): Turn {
    const number = Math.floor(clock.nowMs() / 1000 / rotationSeconds)
    if (turn?.number === number) return turn
    if (turn !== undefined) secrets = readAgain(secretFile) ?? secrets
    const at = (span: number) => secrets.map((secret) => nonceOf(secret, span))
    const now = at(number)
    turn = {
      number,
      now,
      before: at(number - 1),
      next: at(number + 1),
      current: (now[0] as Buffer).toString('base64url'),
    }
    return turn
  }

  return {
    current: () => turnOfNow().current,
    check: (nonce) => {
      const { now, before, next, current } = turnOfNow()
      if (nonce === current) return 'fresh'
      const bytes = Buffer.from(nonce, 'base64url')
      if (bytes.toString('base64url') !== nonce) return 'wrong'
      if (isAmong(bytes, now) || isAmong(bytes, next)) return 'fresh'
      return isAmong(bytes, before) ? 'old' : 'wrong'
    },
  }
}

function nonceOf(secret: Buffer, span: number): Buffer {
  return createHmac('sha256', secret).update(`sluice dpop nonce ${span}`).digest()
}

function isAmong(bytes: Buffer, nonces: readonly Buffer[]): boolean {
  return nonces.some((each) => each.length === bytes.length && timingSafeEqual(each, bytes))
}

function readSecrets(file: string): readonly Buffer[] {
  const fault = (found: string, cause?: unknown) =>
    new SluiceError({
      code: 'nonce_secret_invalid',
      place: file,
      found,
      expected: `one secret a line, each of at least ${minSecretCharacters} characters`,
      ...(cause !== undefined && { cause }),
    })
  let text: string
  try {
    text = readFileSync(file, 'utf8')
  } catch (cause) {
    throw fault(messageOf(cause), cause)
  }
  const lines = text.split(/\r?\n/).filter((line) => line !== '')
  if (lines.length === 0) throw fault('no secret')
  const short = lines.findIndex((line) => line.length < minSecretCharacters)
  if (short !== -1) throw fault(`a secret of ${lines[short]?.length} characters (the ${short + 1}.)`)
  return lines.map((line) => Buffer.from(line))
}

/** While a file is being replaced there is a moment without it. */
function readAgain(file: string): readonly Buffer[] | undefined {
  try {
    return readSecrets(file)
  } catch (thrown) {
    if (thrown instanceof SluiceError) return undefined
    throw thrown
  }
}
