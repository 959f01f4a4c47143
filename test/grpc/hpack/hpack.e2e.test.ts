import t from 'tap'
import { HpackDecoder } from '#grpc/hpack/decoder.ts'
import { HpackFault } from '#grpc/hpack/fault.ts'
import fc from '../../fast-check.ts'
import { type HpackAnswer, startHpackOracle } from '../../harness/go-peers.ts'

const oracle = await startHpackOracle()
t.teardown(() => oracle[Symbol.asyncDispose]())

type Pairs = readonly (readonly [string, string])[]
type Answer = Pick<HpackAnswer, 'headers' | 'error'>

const hex = (text: string) => Buffer.from(text, 'latin1').toString('hex')
const inHex = (pairs: Pairs): Pairs => pairs.map(([name, value]) => [hex(name), hex(value)])

function ours(decoder: HpackDecoder, block: Buffer): Answer {
  try {
    const { fields } = decoder.decode(block)
    const headers: [string, string][] = []
    for (let i = 0; i < fields.length; i += 2)
      headers.push([hex(fields[i] as string), hex(fields[i + 1] as string)])
    return { headers }
  } catch (thrown) {
    if (!(thrown instanceof HpackFault)) throw thrown
    return { error: thrown.message }
  }
}

const newDecoder = (maxTableBytes = 4096) => new HpackDecoder({ maxListBytes: 1 << 30, maxTableBytes })

/** Where the two may differ, and a first block and a second one that show that they do. */
const exceptions: readonly {
  readonly why: string
  readonly refuses: 'ours' | 'theirs'
  readonly error: RegExp
  readonly blocks: readonly string[]
}[] = [
  {
    why: 'a table size update stands at the beginning of a block (§4.2), even where the table is empty',
    refuses: 'ours',
    error: /^a table size update behind a header$/,
    blocks: ['8220'],
  },
  {
    why: 'two table size updates may stand there (§4.2), even where the table is not empty',
    refuses: 'theirs',
    error: /MUST occur at the beginning/,
    blocks: ['4001610162', '3fe11f3fe11fbe'],
  },
  {
    why: 'an integer may be refused for its length (§5.1), even where it is small',
    refuses: 'ours',
    error: /^an integer that is too large$/,
    blocks: ['3f8080808000'],
  },
]

const isException = (mine: Answer, other: Answer): boolean =>
  exceptions.some(({ refuses, error }) => {
    const [no, yes] = refuses === 'ours' ? [mine, other] : [other, mine]
    return no.error !== undefined && yes.error === undefined && error.test(no.error)
  })

/** Header fields as clients send them: names and values that come again, some that are in the static table. */
const name = fc.oneof(
  fc.constantFrom(':path', ':authority', 'content-type', 'te', 'x-request-id', 'cookie', 'grpc-timeout'),
  fc.string({ unit: fc.constantFrom(...'abcdefxyz0189-_'), minLength: 1, maxLength: 40 }),
)
const value = fc.oneof(
  fc.constantFrom('', '/', 'application/grpc', 'trailers', '1S'),
  fc.uint8Array({ maxLength: 80 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc.string({ unit: 'grapheme-ascii', maxLength: 300 }),
)
const pairs = fc.array(fc.tuple(name, value), { maxLength: 20 })

const bytes = (...octets: readonly number[]) => Buffer.from(octets)
const octet = fc.integer({ min: 0, max: 255 })

const text = fc.uint8Array({ maxLength: 20 }).map((raw) => Buffer.concat([bytes(raw.length), raw]))
/** Seldom the code of anything. */
const huffmanText = fc
  .uint8Array({ maxLength: 20 })
  .map((raw) => Buffer.concat([bytes(0x80 | raw.length), raw]))
const literalKind = fc.constantFrom(0x40, 0x40, 0x00, 0x10)

/** A piece of a block that looks like one, whether it is right or not. */
const piece = fc.oneof(
  { weight: 20, arbitrary: fc.integer({ min: 0x81, max: 0xc4 }).map((index) => bytes(index)) },
  {
    weight: 20,
    arbitrary: fc
      .tuple(literalKind, text, text)
      .map(([kind, first, second]) => Buffer.concat([bytes(kind), first, second])),
  },
  {
    weight: 10,
    arbitrary: fc
      .tuple(fc.integer({ min: 0x41, max: 0x7e }), text)
      .map(([index, second]) => Buffer.concat([bytes(index), second])),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(literalKind, huffmanText, text)
      .map(([kind, first, second]) => Buffer.concat([bytes(kind), first, second])),
  },
  { weight: 2, arbitrary: fc.integer({ min: 0x20, max: 0x3e }).map((size) => bytes(size)) },
  { weight: 2, arbitrary: octet.map((size) => bytes(0x3f, 0x80 | size, size >> 3)) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(fc.constantFrom(0x0f, 0x3f, 0x7f, 0xff), fc.uint8Array({ maxLength: 10 }))
      .map(([first, rest]) => Buffer.concat([bytes(first), rest])),
  },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 20 }).map((raw) => Buffer.from(raw)) },
)
const handMade = fc.array(piece, { maxLength: 4 }).map((pieces) => Buffer.concat(pieces))
/** Blocks of which some come again: the decoder remembers the last one. */
const handMadeBlocks = fc
  .tuple(
    fc.array(handMade, { minLength: 1, maxLength: 4 }),
    fc.array(fc.nat(), { minLength: 1, maxLength: 12 }),
  )
  .map(([pool, picks]) => picks.map((pick) => pool[pick % pool.length] as Buffer))

const firstDynamic = 62
/** A block that is one reference into the table. */
const reference = (index: number) => (index < 127 ? bytes(0x80 | index) : bytes(0xff, index - 127))

/** Decodes blocks on both sides until one of them refuses; or else the dynamic tables must hold the same in the end. */
async function compare(blocks: readonly Buffer[], maxTableBytes = 4096): Promise<void> {
  const decoder = newDecoder(maxTableBytes)
  await oracle.ask('reset')
  await oracle.ask(`max ${maxTableBytes}`)
  const agree = async (block: Buffer): Promise<boolean> => {
    const mine = ours(decoder, block)
    const other = await oracle.ask(`decode ${block.toString('hex')}`)
    const isRefused = mine.error !== undefined && other.error !== undefined
    if (isRefused || isException(mine, other)) return false
    if (JSON.stringify(mine) === JSON.stringify(other)) return true
    const said = `ours says ${JSON.stringify(mine)}, theirs ${JSON.stringify(other)}`
    throw new Error(`${block.toString('hex')}: ${said}`)
  }
  for (const block of blocks) if (!(await agree(block))) return
  let index = firstDynamic
  while (await agree(reference(index))) index++
}

async function encoded(headers: Pairs): Promise<Buffer> {
  return Buffer.from((await oracle.ask(`encode ${JSON.stringify(inHex(headers))}`)).block ?? '', 'hex')
}

t.test("blocks of another encoder mean what it was given, while its table's size changes", async () => {
  const step = fc.record({
    headers: pairs,
    again: fc.boolean(),
    tableBytes: fc.option(fc.integer({ min: 0, max: 4096 }), { freq: 4 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const decoder = newDecoder()
      const blocks: Buffer[] = []
      await oracle.ask('reset')
      for (const { headers, again, tableBytes } of steps) {
        if (tableBytes !== null) await oracle.ask(`tablesize ${tableBytes}`)
        for (let turn = 0; turn < (again ? 3 : 1); turn++) {
          const block = await encoded(headers)
          blocks.push(block)
          const got = ours(decoder, block)
          if (JSON.stringify(got) !== JSON.stringify({ headers: inHex(headers) }))
            throw new Error(`got ${JSON.stringify(got)}, expected ${JSON.stringify(inHex(headers))}`)
        }
      }
      await compare(blocks)
    }),
    { numRuns: 200 },
  )
})

t.test('of a damaged block both decoders say the same', async () => {
  const damage = fc.record({
    at: fc.nat(),
    remove: fc.integer({ min: 0, max: 3 }),
    insert: fc.uint8Array({ maxLength: 3 }),
  })
  const step = fc.record({ headers: pairs, damages: fc.array(damage, { maxLength: 2 }) })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 5 }), async (steps) => {
      await oracle.ask('reset')
      const blocks: Buffer[] = []
      for (const { headers, damages } of steps) {
        let block = await encoded(headers)
        for (const { at, remove, insert } of damages) {
          const start = at % (block.length + 1)
          block = Buffer.concat([block.subarray(0, start), insert, block.subarray(start + remove)])
        }
        blocks.push(block)
      }
      await compare(blocks)
    }),
    { numRuns: 400 },
  )
})

t.test('of blocks that no encoder makes both decoders say the same, with tables of any size', async () => {
  const sizes = fc.constantFrom(0, 33, 64, 200, 4096)
  await fc.assert(fc.asyncProperty(handMadeBlocks, sizes, compare), { numRuns: 1500 })
})

t.test('where the decoders differ, RFC 7541 lets them', async (t) => {
  for (const { why, refuses, blocks } of exceptions) {
    const decoder = newDecoder()
    await oracle.ask('reset')
    const answers: [Answer, Answer][] = []
    for (const block of blocks)
      answers.push([ours(decoder, Buffer.from(block, 'hex')), await oracle.ask(`decode ${block}`)])
    const [mine, other] = answers.at(-1) as [Answer, Answer]
    t.ok(isException(mine, other), `${why} (${refuses} refuses)`, { mine, other })
  }
})
