/** What one step of the tour looked like from the outside. */
export interface Outcome {
  /** Who asked. */
  readonly who: string
  /** What was asked. */
  readonly what: string
  /** What came back, in the words of the protocol: `200`, `403`, `PERMISSION_DENIED`, `TLS handshake refused`. */
  readonly answer: string
  readonly isAllowed: boolean
  /** Why, for a person. */
  readonly because: string
  readonly tookMs?: number
  /** What is not as it should be; empty when all is well. */
  readonly wrong: readonly string[]
}

const isPlain = process.env['NO_COLOR'] !== undefined || !process.stdout.isTTY
const paint = (code: number) => (text: string) => (isPlain ? text : `\u001b[${code}m${text}\u001b[0m`)
export const bold = paint(1)
export const dim = paint(2)
const red = paint(31)
const green = paint(32)

export function say(text: string): void {
  process.stdout.write(`${text}\n`)
}

/** Prints a step: what it shows, then each request as who, what, verdict, reason, time. */
export function printStep(title: string, outcomes: readonly Outcome[]): void {
  say(`\n${bold(title)}`)
  for (const outcome of outcomes) {
    const verdict = outcome.isAllowed ? green('allowed') : red('refused')
    const took = outcome.tookMs === undefined ? '' : dim(` ${outcome.tookMs.toFixed(1)} ms`)
    say(`  ${outcome.who.padEnd(22)} ${outcome.what.padEnd(44)} ${verdict} ${outcome.answer}${took}`)
    say(dim(`  ${' '.repeat(22)} ${outcome.because}`))
    for (const wrong of outcome.wrong) say(red(`  ${' '.repeat(22)} NOT AS IT SHOULD BE: ${wrong}`))
  }
}
