import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { openMessageReader } from '#envoy/message-json/message-json.ts'
import { messageBytes } from '../../envoy/wire/message-bytes.ts'
import fc from '../../fast-check.ts'
import { startAgent } from '../../harness/agent.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { checkBytes } from './check.ts'
import { buildDescriptors, callCheck, frame, messageAt } from './descriptors.ts'
import { type Difference, inputOf, isSame } from './differences.ts'
import { properBytes } from './generate-message.ts'
import { contractRego, startPair } from './pair.ts'

const numRuns = Number(process.env['CONTRACT_RUNS'] ?? 300)
const seed = Number(process.env['CONTRACT_SEED'] ?? 42)

/** `text: "x"` of Everything. */
const message = Buffer.from([0x72, 1, 0x78])
const grpc = { 'content-type': 'application/grpc' }

t.test('gRPC bodies are parsed by descriptors as the plugin parses them', async (t) => {
  using folder = temporaryFolder()
  const path = await buildDescriptors(folder.path)
  const everything = messageAt(path, 'contract.v1.Everything')
  await using pair = await startPair({
    rego: contractRego,
    policy: { protoDescriptor: path },
    settings: [`proto-descriptor=${path}`],
  })

  /** `differs` names what is meant; `sees` what both show as parsed_body, where that says more than that they agree. */
  const rows: readonly (readonly [name: string, bytes: Buffer, sees?: unknown, differs?: Difference])[] = [
    ['a message', callCheck(frame(message)), { text: 'x' }],
    ['of a server-streaming method', callCheck(frame(message), '/contract.v1.Echo/Server'), { text: 'x' }],
    ['of a client-streaming method', callCheck(frame(message), '/contract.v1.Echo/Client'), null],
    ['of a bidirectional method', callCheck(frame(message), '/contract.v1.Echo/Both'), null],
    ['of a method that nobody knows', callCheck(frame(message), '/contract.v1.Echo/None'), null],
    ['of a service that nobody knows', callCheck(frame(message), '/contract.v1.None/Unary'), null],
    ['of a name that is no service', callCheck(frame(message), '/contract.v1.Everything/Unary'), null],
    ['of an empty service', callCheck(frame(message), '//Unary')],
    ['of no method', callCheck(frame(message), '/contract.v1.Echo')],
    ['of three segments', callCheck(frame(message), '/contract.v1.Echo/Unary/x')],
    ['with a slash behind', callCheck(frame(message), '/contract.v1.Echo/Unary/')],
    ['with an escaped path', callCheck(frame(message), '/contract.v1.Ech%6f/Unary'), { text: 'x' }],
    ['with a query', callCheck(frame(message), '/contract.v1.Echo/Unary?x=1'), { text: 'x' }],
    [
      'two messages',
      callCheck(Buffer.concat([frame(message), frame(Buffer.from([0x72, 1, 0x79]))])),
      { text: 'x' },
    ],
    ['an empty message', callCheck(frame(Buffer.alloc(0))), {}],
    ['a compressed message', callCheck(frame(message, 1)), null],
    ['an odd flag', callCheck(frame(message, 2)), null],
    ['a cut message', callCheck(frame(message, 0, 100)), null],
    ['four octets', callCheck(Buffer.alloc(4))],
    ['nothing', callCheck(Buffer.alloc(0)), null],
    ['no protobuf', callCheck(frame(Buffer.from([0x0a])))],
    ['invalid UTF-8', callCheck(frame(Buffer.from([0x72, 1, 0xff])))],
    [
      'a repeated field, of which the last counts',
      callCheck(frame(Buffer.concat([message, Buffer.from([0x72, 1, 0x79])]))),
      { text: 'y' },
    ],
    ['an unknown field', callCheck(frame(Buffer.from([0xf8, 0x3f, 1]))), {}],
    ['a field in another wire type', callCheck(frame(Buffer.from([0x70, 1]))), undefined, 'odd-encoding'],
    ['101 levels', callCheck(frame(nested(101))), undefined, 'odd-encoding'],
    ['as gRPC+proto', callCheck(frame(message), undefined, 'application/grpc+proto'), { text: 'x' }],
    ['as gRPC-Web', callCheck(frame(message), undefined, 'application/grpc-web'), undefined, 'grpc-web'],
    [
      'a lying length',
      checkBytes({
        path: '/contract.v1.Echo/Unary',
        headers: { ...grpc, 'content-length': '999' },
        rawBody: frame(message),
      }),
      { text: 'x' },
    ],
    [
      'as text',
      checkBytes({ path: '/contract.v1.Echo/Unary', headers: grpc, body: frame(message).toString() }),
      null,
    ],
  ]
  for (const [name, bytes, sees, differs] of rows) {
    const [theirs, ours] = await Promise.all([pair.plugin.ask(bytes), pair.sluice.ask(bytes)])
    t.equal(isSame(theirs, ours), differs === undefined, name, { theirs, ours })
    if (sees !== undefined) t.same('body' in ours && inputOf(ours.body)?.['parsed_body'], sees, name)
  }

  for (const [name, bytes, tolerated] of [
    ['messages as their runtimes write them', properBytes(everything, 3), []],
    ['messages as nobody writes them', messageBytes(everything, 4), ['odd-encoding']],
  ] as const) {
    let read = 0
    for (const each of fc.sample(bytes, { numRuns, seed })) {
      const ask = callCheck(frame(each))
      const [theirs, ours] = await Promise.all([pair.plugin.ask(ask), pair.sluice.ask(ask)])
      if (!isSame(theirs, ours, tolerated))
        t.same(ours, theirs, `${name}: ${Buffer.from(each).toString('hex')}`)
      if ('body' in ours && inputOf(ours.body) !== undefined) read++
    }
    t.ok(read > numRuns / 4, `${name}: ${read} were read`)
  }
})

/** `Everything` in itself. */
function nested(levels: number): Buffer {
  let bytes = Buffer.alloc(0)
  for (let i = 0; i < levels; i++) {
    const length = bytes.length < 0x80 ? [bytes.length] : [(bytes.length & 0x7f) | 0x80, bytes.length >> 7]
    bytes = Buffer.concat([Buffer.from([0x8a, 1, ...length]), bytes])
  }
  return bytes
}

t.test('a file that is no set of descriptors, or lacks an import, is refused with its name', async (t) => {
  using folder = temporaryFolder()
  const path = join(folder.path, 'descriptors.binpb')
  writeFileSync(path, 'nonsense')
  t.throws(() => openMessageReader(path), { code: 'config_invalid', place: path })
  // A file `a` that imports `b`, which is not there.
  writeFileSync(path, Buffer.from([0x0a, 6, 0x0a, 1, 0x61, 0x1a, 1, 0x62]))
  t.throws(() => openMessageReader(path), { code: 'config_invalid', place: path })
  await t.rejects(
    startAgent({ folder: folder.path, config: { policy: { bundle: path, protoDescriptor: path } } }),
    /FileDescriptorSet/,
  )
})
