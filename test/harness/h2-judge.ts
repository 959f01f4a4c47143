import type { Test } from 'tap'
import { type EchoServer, echo, isServed, wholeCall } from './echo-server.ts'
import { H2Client } from './h2-client.ts'
import { data, type ErrorName, headers, message } from './h2-frames.ts'
import { call } from './h2-hpack.ts'

/** What a rule wants for what a client sent; of several codes that it allows, any. */
export type Want =
  /** The connection ends with one of these codes. */
  | { readonly goaway: readonly ErrorName[] }
  /** The stream ends with one of these codes, and only it. */
  | { readonly reset: readonly ErrorName[]; readonly id?: number }
  /** The call ends with this gRPC status, and only it. */
  | { readonly grpc: number; readonly fields?: Readonly<Record<string, string>> }
  | { readonly http: number }
  /** Nobody takes notice. */
  | 'nothing'

export interface Case {
  readonly name: string
  /** Section of RFC 9113, unless it says otherwise. */
  readonly rule: string
  /** Sent on a connection where stream 1 is open and answered; `attacked` is free for the first new stream. */
  readonly send: readonly Uint8Array[]
  readonly want: Want
}

/** The stream that a case is about. */
export const attacked = 7
const witness = 1

/** Tests that the case gets what it deserves, and nobody else does. */
export function judge(t: Test, server: () => EchoServer, { name, rule, send, want }: Case): Promise<unknown> {
  return t.test(`${rule} ${name}`, async (t) => {
    const { port, counters } = server()
    await using client = await H2Client.open({ port })
    client.send(headers(witness, call(echo.all)), data(witness, message('before')))
    await client.until('an echo', () => client.soFar(witness).messages.length === 1)
    client.send(...send)
    const sent = Buffer.concat(send).toString('hex').slice(0, 400)
    if (want === 'nothing') {
      await client.roundTrip()
      t.strictSame(
        client.frames.filter(({ id }) => id === attacked),
        [],
        sent,
      )
    } else if ('goaway' in want) {
      const code = await client.farewell()
      t.ok(want.goaway.includes(code), `${code} is one of ${want.goaway.join()}`, {
        sent,
        came: client.story(),
      })
      t.ok((counters.protocolErrors.get(code) ?? 0) > 0, 'it is counted')
    } else {
      await judgeStream(t, client, want, sent)
    }
    if (want === 'nothing' || !('goaway' in want)) await judgeWitnesses(t, client)
    t.ok(await isServed({ port }), 'others are served')
    t.notOk(counters.protocolErrors.has('INTERNAL_ERROR'), 'nothing broke inside')
  })
}

async function judgeStream(
  t: Test,
  client: H2Client,
  want: Exclude<Want, 'nothing' | { goaway: unknown }>,
  sent: string,
): Promise<void> {
  const id = ('reset' in want ? want.id : undefined) ?? attacked
  const answer = await client.answer(id)
  const seen = { sent, came: client.story() }
  if ('reset' in want) {
    const { reset = 'none' } = answer
    t.ok((want.reset as readonly string[]).includes(reset), `${reset} is one of ${want.reset.join()}`, seen)
  } else if ('http' in want) t.equal(answer.fields.get(':status'), String(want.http), 'HTTP status', seen)
  else {
    t.equal(answer.fields.get('grpc-status'), String(want.grpc), 'gRPC status', seen)
    for (const [name, value] of Object.entries(want.fields ?? {}))
      t.equal(answer.fields.get(name), value, name, seen)
  }
}

/** The stream that was open before goes on, and a new one is answered. */
async function judgeWitnesses(t: Test, client: H2Client): Promise<void> {
  const next = 1001
  client.send(data(witness, message('after'), { end: true }), wholeCall(next, echo.now, 'new'))
  const old = await client.answer(witness)
  t.strictSame([old.messages, old.fields.get('grpc-status')], [['before', 'after'], '0'], client.story())
  t.strictSame((await client.answer(next)).messages, ['new'])
  t.equal(client.goaway, undefined)
}
