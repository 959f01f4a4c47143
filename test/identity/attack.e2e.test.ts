import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { HpackDecoder } from '#grpc/hpack/decoder.ts'
import { H2Client } from '../harness/h2-client.ts'
import { data, flag, headers as headersFrame, preface, settings, type } from '../harness/h2-frames.ts'
import { literals } from '../harness/h2-hpack.ts'
import { tlsDial } from '../harness/raw-http.ts'
import { eventually } from '../harness/temp.ts'
import {
  apis,
  bearer,
  type Fields,
  idp,
  inferPath,
  spiffeIdOf,
  startCallerWorld,
  tenants,
  tokenOf,
  type Workload,
} from './caller-world.ts'
import { createSigner } from './token/kit.ts'

const world = await startCallerWorld(() => ({ identity: { trustedForwarders: [spiffeIdOf('gateway')] } }))
t.teardown(() => world[Symbol.asyncDispose]())

t.test('nobody acts for a tenant but who has its peer and its token', async (t) => {
  const rows: [who: Workload, tenant: string | undefined, result: string][] = [
    ['gateway', 'acme', 'served'],
    ['gateway', 'globex', 'served'],
    ['gateway', 'other', 'tenant_binding_mismatch'],
    ['gateway', 'nobody', 'tenant_binding_missing'],
    ['gateway', 'plain', 'tenant_binding_missing'],
    ['gateway', undefined, 'token_missing'],
    ['other', 'other', 'served'],
    ['other', 'acme', 'tenant_binding_mismatch'],
    ['other', undefined, 'token_missing'],
    ['plain', undefined, 'served'],
    ['plain', 'acme', 'tenant_binding_mismatch'],
    ['plain', 'plain', 'tenant_binding_missing'],
    ['robot', 'acme', 'tenant_binding_mismatch'],
    ['robot', 'robots', 'tenant_binding_missing'],
  ]
  for (const api of apis) {
    for (const [as, tenant, expected] of rows) {
      const what = `${api}: ${as} with a token of ${tenant ?? 'nobody'}`
      const headers = tenant === undefined ? [] : bearer(tokenOf({ tenant }))
      const { result, record, arrived, status } = await world.send({ api, as, headers })
      t.equal(result, expected, what)
      t.equal(arrived?.['x-sluice-tenant'], expected === 'served' ? (tenant ?? 'plain') : undefined, what)
      t.equal(record?.['tenant'], expected === 'served' ? (tenant ?? 'plain') : undefined, what)
      if (expected.startsWith('tenant_')) {
        t.equal(status, 403, what)
        t.match(record, { issuer: idp, subject: 'user-1' }, `${what}: the record says whose token it was`)
      }
    }
  }
})

t.test('a tenant is one name, to the letter', async (t) => {
  const rows: [claim: unknown, result: string][] = [
    [['acme'], 'token_invalid'],
    [['acme', 'other'], 'token_invalid'],
    [{ name: 'acme' }, 'token_invalid'],
    [{ toString: 'acme' }, 'token_invalid'],
    [1, 'token_invalid'],
    [true, 'token_invalid'],
    [null, 'token_invalid'],
    ['', 'token_invalid'],
    ['a'.repeat(2049), 'token_invalid'],
    ['a'.repeat(2048), 'tenant_binding_missing'],
    ...[
      'Acme',
      'ACME',
      ' acme',
      'acme ',
      'acme\t',
      'acme\u0000',
      'acme\u200b',
      'acme\u00ad',
      '\ufeffacme',
    ].map((name): [string, string] => [name, 'tenant_binding_missing']),
    ...[
      'аcme',
      'acｍe',
      'ａｃｍｅ',
      'acmé',
      'acme\u0301',
      '\u202eemca',
      'acme,globex',
      'acme/..',
      'ac%6de',
      '*',
      'acm*',
    ].map((name): [string, string] => [name, 'tenant_binding_missing']),
    ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'undefined', 'null'].map(
      (name): [string, string] => [name, 'tenant_binding_missing'],
    ),
  ]
  for (const [tenant, expected] of rows)
    t.equal(
      (await world.send({ headers: bearer(tokenOf({ tenant })) })).result,
      expected,
      JSON.stringify(tenant),
    )
})

const nested = (depth: number): unknown => (depth === 0 ? 1 : [nested(depth - 1)])

t.test('odd claims change nothing about whose token it is', async (t) => {
  const claims = JSON.stringify({
    sub: 'user-1',
    constructor: { prototype: { tenant: 'other' } },
    toString: 'x',
  })
  const rows: [name: string, token: string, result: string][] = [
    ['names of Object', tokenOf(JSON.parse(claims)), 'served'],
    ['__proto__', tokenOf(JSON.parse('{"__proto__":{"tenant":"other"}}')), 'token_malformed'],
    ['as deep as may be', tokenOf({ deep: nested(31) }), 'served'],
    ['deeper', tokenOf({ deep: nested(32) }), 'token_malformed'],
    ['as deep as it gets', tokenOf({ deep: nested(2500) }), 'token_malformed'],
    ['much of it', tokenOf({ much: 'x'.repeat(5000) }), 'served'],
    [
      'five hundred claims',
      tokenOf(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`c${i}`, i]))),
      'served',
    ],
    ['control characters', tokenOf({ sub: 'user\r\n{"verdict":"allow"}\u0000' }), 'served'],
  ]
  for (const [name, token, expected] of rows) {
    const { result, record } = await world.send({ headers: bearer(token) })
    t.equal(result, expected, name)
    if (expected === 'served') t.equal(record?.['tenant'], 'acme', name)
  }
})

t.test('no header speaks for a tenant, an identity or a decision', async (t) => {
  const rows: [headers: Fields, result: RegExp][] = [
    [[['x-sluice-tenant', 'globex']], /^served$/],
    [[['X-Sluice-Tenant', 'globex']], /^served$/],
    [
      [
        ['x-sluice-tenant', 'globex'],
        ['x-sluice-tenant', 'other'],
      ],
      /^served$/,
    ],
    [[['x-sluice-decision-id', 'mine']], /^served$/],
    [[['x-sluice-anything', 'x']], /^served$/],
    [[['x_sluice_tenant', 'globex']], /^(header_not_canonical|no record)$/],
    [[['x-sluice_tenant', 'globex']], /^(header_not_canonical|no record)$/],
    [[['x-sluice-tenant ', 'globex']], /^no record$/],
    [[['x-tenant', 'globex']], /^served$/],
    [[['x-tenant-id', 'globex']], /^served$/],
    [[['x-scope-orgid', 'globex']], /^served$/],
    [[['connection', 'x-sluice-tenant']], /^served$/],
    [[['x-envoy-original-path', '/v2/models/other/infer']], /^(header_not_canonical|served)$/],
    [[['x-http-method-override', 'GET']], /^method_not_canonical$/],
    [[['proxy-authorization', `Bearer ${tokenOf({ tenant: 'globex' })}`]], /^served$/],
    [[['x-forwarded-access-token', tokenOf({ tenant: 'globex' })]], /^served$/],
    [[['cookie', `access_token=${tokenOf({ tenant: 'globex' })}`]], /^served$/],
  ]
  for (const api of apis) {
    for (const [more, expected] of rows) {
      const what = `${api} ${JSON.stringify(more[0])}`
      const { result, record, arrived, answer } = await world.send({
        api,
        headers: [...bearer(tokenOf()), ...more],
      })
      t.match(result, expected, what)
      if (result !== 'served') continue
      t.equal(record?.['tenant'], 'acme', what)
      t.equal(arrived?.['x-sluice-tenant'], 'acme', what)
      t.equal(arrived?.['x-sluice-decision-id'], record?.['id'], what)
      t.equal(answer?.headers.get('x-tenant-bound'), 'acme', what)
      const spoken = Object.keys(arrived ?? {}).filter((name) => /sluice|tenant|org/.test(name))
      t.same(spoken.sort(), ['x-sluice-decision-id', 'x-sluice-tenant'], what)
    }
  }
})

t.test('a forwarded certificate of a peer that is no gateway is nobody, not even to policy', async (t) => {
  const forged = [
    `Hash=${'0'.repeat(64)};URI=${spiffeIdOf('plain')}`,
    `By=${spiffeIdOf('gateway')};Hash=${'0'.repeat(64)};URI=${spiffeIdOf('plain')},By=x`,
    JSON.stringify([{ hash: '0'.repeat(64), uri: [spiffeIdOf('plain')] }]),
  ]
  for (const api of apis) {
    for (const value of forged) {
      const more: Fields = [['x-forwarded-client-cert', value]]
      const what = `${api} ${value.slice(0, 20)}`
      const missing = await world.send({ api, as: 'other', headers: more })
      t.equal(missing.result, 'token_missing', what)
      const own = await world.send({
        api,
        as: 'other',
        headers: [...bearer(tokenOf({ tenant: 'other' })), ...more],
      })
      t.equal(own.result, 'served', what)
      t.equal(own.record?.['forwarded'], undefined, what)
      t.equal(own.record?.['tenant'], 'other', what)
      t.equal(own.arrived?.['x-forwarded-client-cert'], undefined, `${what}: what the model server reads`)
      t.equal(own.answer?.headers.get('x-forwarded-seen'), 'none', `${what}: what policy reads`)
    }
  }
})

t.test('the word of a gateway on its client is evidence, and makes nobody of another tenant', async (t) => {
  const said: Fields = [['x-forwarded-client-cert', `Hash=${'0'.repeat(64)};URI=${spiffeIdOf('plain')}`]]
  for (const api of apis) {
    const bare = await world.send({ api, headers: said })
    t.equal(bare.result, 'token_missing', `${api}: its client needs no token, and it does`)
    t.match(bare.record, { peer: spiffeIdOf('gateway'), forwarded: spiffeIdOf('plain'), tenant: undefined })
    const own = await world.send({ api, headers: [...bearer(tokenOf()), ...said] })
    t.equal(own.result, 'served', api)
    t.match(own.record, { tenant: 'acme', forwarded: spiffeIdOf('plain') }, api)
  }
})

t.test('requests of many tokens on one connection are each their own', async (t) => {
  const dial = tlsDial(world.port('ext_proc'), world.ca, world.identities.gateway)
  await using client = new H2Client(await dial('h2'))
  client.send(preface, settings())
  const body = Buffer.from(
    JSON.stringify({ inputs: [{ name: 'features', datatype: 'FP32', shape: [3], data: [1, 2, 3] }] }),
  )
  const kinds = ['acme', 'globex', 'other', undefined] as const
  const ids = Array.from({ length: 60 }, (_, index) => 1 + index * 2)
  const kindOf = (id: number) => kinds[((id - 1) / 2) % kinds.length]
  for (const id of ids) {
    const tenant = kindOf(id)
    const fields: Fields = [
      [':method', 'POST'],
      [':scheme', 'https'],
      [':path', inferPath],
      [':authority', 'one-connection'],
      ['content-type', 'application/json'],
      ...(tenant === undefined ? [] : bearer(tokenOf({ tenant, jti: `${id}` }))),
    ]
    client.send(headersFrame(id, literals(fields)), data(id, body, { end: true }))
  }
  const isOver = (id: number) => client.frames.some((each) => each.id === id && (each.flags & flag.end) !== 0)
  await client.until('every answer', () => ids.every(isOver))
  const decoder = new HpackDecoder({ maxListBytes: 1 << 20 })
  const answers = new Map<number, ReadonlyMap<string, string>>()
  for (const frame of client.frames.filter((each) => each.type === type.headers)) {
    const { fields } = decoder.decode(frame.payload)
    const pairs = Array.from(
      { length: fields.length / 2 },
      (_, i) => [fields[i * 2], fields[i * 2 + 1]] as const,
    )
    answers.set(frame.id, new Map(pairs as [string, string][]))
  }
  const statusOf = { acme: '200', globex: '200', other: '403' } as const
  for (const id of ids) {
    const tenant = kindOf(id)
    const answer = answers.get(id)
    t.equal(answer?.get(':status'), tenant === undefined ? '401' : statusOf[tenant], `${id}: ${tenant}`)
    if (answer?.get(':status') === '200') t.equal(answer.get('x-tenant-bound'), tenant, `${id}`)
  }
})

t.test('credentials in trailers are nobody', async (t) => {
  const dial = tlsDial(world.port('ext_proc'), world.ca, world.identities.gateway)
  await using client = new H2Client(await dial('h2'))
  const fields: Fields = [
    [':method', 'POST'],
    [':scheme', 'https'],
    [':path', inferPath],
    [':authority', 'in-trailers'],
    ['content-type', 'application/json'],
  ]
  const trailers: Fields = [...bearer(tokenOf()), ['x-sluice-tenant', 'acme']]
  client.send(preface, settings(), headersFrame(1, literals(fields)), data(1, Buffer.from('{}')))
  client.send(headersFrame(1, literals(trailers), { end: true }))
  await client.until('an end', () =>
    client.frames.some((each) => each.id === 1 && (each.flags & flag.end) !== 0),
  )
  const record = world.auditLines().find((line) => line['authority'] === 'in-trailers')
  t.match(record, { verdict: 'deny', reason: 'token_missing' })
})

t.test('while tenants change, each request is judged by one state of them', async (t) => {
  const file = join(world.folder, 'resources', 'tenants.yaml')
  const reloads = async () => {
    const { body } = await world.agent.probe('/metrics')
    return Number(/^sluice_reloads_total\{what="resources",result="loaded"\} (\d+)/m.exec(body)?.[1] ?? 0)
  }
  const texts = [false, true].map((isMoved) =>
    tenants
      .map((each) =>
        each.metadata.name === 'acme' && isMoved
          ? { ...each, spec: { ...each.spec, peers: [spiffeIdOf('plain')] } }
          : each,
      )
      .map((each) => JSON.stringify(each))
      .join('\n---\n'),
  )
  const seen = new Map<unknown, Set<string>>()
  let isOver = false
  const caller = async () => {
    while (!isOver) {
      const { result, record } = await world.send({ headers: bearer(tokenOf()) })
      const results = seen.get(record?.['epoch']) ?? new Set()
      seen.set(record?.['epoch'], results.add(result))
    }
  }
  const callers = [caller(), caller(), caller()]
  for (let turn = 1; turn <= 6; turn++) {
    const before = await reloads()
    const answered = [...seen.values()].length
    writeFileSync(file, texts[turn % 2] as string)
    await eventually('the change is in force', async () => (await reloads()) > before)
    await eventually('somebody was judged by it', () => [...seen.values()].length > answered)
  }
  isOver = true
  await Promise.all(callers)
  t.ok(seen.size >= 6, `${seen.size} states`)
  for (const [epoch, results] of seen)
    t.equal(results.size, 1, `state ${epoch}: ${[...results].join(' and ')}`)
  t.same(
    new Set([...seen.values()].flatMap((each) => [...each])),
    new Set(['served', 'tenant_binding_mismatch']),
  )
})

t.test('a flood of junk from one peer is bounded, and another peer is served all the while', async (t) => {
  const stranger = createSigner('P-256', 'idp-1')
  const dial = tlsDial(world.port('ext_proc'), world.ca, world.identities.other)
  await using client = new H2Client(await dial('h2'))
  const began = performance.now()
  client.send(preface, settings())
  const ids = Array.from({ length: 1500 }, (_, index) => 1 + index * 2)
  const good: string[] = []
  for (const id of ids) {
    const fields: Fields = [
      [':method', 'GET'],
      [':scheme', 'https'],
      [':path', '/v2/models/fraud/ready'],
      [':authority', 'flood'],
      ...bearer(tokenOf({ tenant: 'other', jti: `${id}` }, {}, stranger)),
    ]
    client.send(headersFrame(id, literals(fields), { end: true }))
    if (id % 300 === 1)
      good.push((await world.send({ headers: bearer(tokenOf({ jti: `new-${id}` })) })).result)
  }
  const ended = () => client.frames.filter((each) => (each.flags & flag.end) !== 0 && each.id > 0).length
  await client.until('every answer', () => ended() >= ids.length, 120_000)
  const seconds = (performance.now() - began) / 1000
  t.same(new Set(good), new Set(['served']), 'new tokens of a peer that sends none of it')
  const reasons = world
    .auditLines()
    .filter((line) => line['authority'] === 'flood')
    .map((line) => line['reason'])
  t.equal(reasons.length, ids.length)
  const checked = reasons.filter((reason) => reason === 'token_signature_invalid').length
  t.ok(checked <= 100 + 50 * seconds, `${checked} signatures were checked in ${seconds.toFixed(1)} s`)
  t.equal(reasons.filter((reason) => reason === 'token_verification_throttled').length, ids.length - checked)
})
