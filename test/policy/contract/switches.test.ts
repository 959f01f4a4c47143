import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadConfig } from '#config/config.ts'
import fc from '../../fast-check.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { bodyCheck, bytesOf, checkBytes, resultCheck } from './check.ts'
import { inputOf, isSame } from './differences.ts'
import { resultChecks } from './generate.ts'
import { openInProcess } from './in-process.ts'
import { contractRego, startPair } from './pair.ts'

const undefinedCheck = resultCheck(undefined, 'nonsense')
const wrongCheck = resultCheck({ allowed: 1 })

t.test('by default what is undefined is denied and what failed is a failure of ours', async (t) => {
  using sluice = await openInProcess(contractRego)
  t.match(await sluice.ask(undefinedCheck), { kind: 'denied', httpStatus: 403, grpcCode: 7 })
  t.match(await sluice.ask(wrongCheck), { kind: 'error', httpStatus: 503 })
})

t.test('each can be left to the failure mode of Envoy, as a failed call', async (t) => {
  using undefinedFails = await openInProcess(contractRego, { onUndefined: 'grpc_error' })
  t.match(await undefinedFails.ask(undefinedCheck), { kind: 'failed', grpcCode: 2 })
  t.match(await undefinedFails.ask(wrongCheck), { kind: 'error' })
  using errorFails = await openInProcess(contractRego, { onError: 'grpc_error' })
  t.match(await errorFails.ask(undefinedCheck), { kind: 'denied' })
  t.match(await errorFails.ask(wrongCheck), { kind: 'failed', grpcCode: 2 })
  t.match(await errorFails.ask(checkBytes({ path: '/%zz' })), { kind: 'denied', httpStatus: 400 })
})

t.test('with both, undefined and failed decisions end as under the plugin', async (t) => {
  const policy = { onUndefined: 'grpc_error', onError: 'grpc_error' }
  await using pair = await startPair({ rego: contractRego, policy })
  for (const bytes of [undefinedCheck, wrongCheck, ...fc.sample(resultChecks, { numRuns: 150, seed: 1 })]) {
    const [theirs, ours] = await Promise.all([pair.plugin.ask(bytes), pair.sluice.ask(bytes)])
    if (theirs.kind === 'failed') t.match(ours, { kind: 'failed', grpcCode: theirs.grpcCode })
    else t.ok(isSame(theirs, ours), 'alike', { theirs, ours })
  }
})

t.test(
  'what Rego cannot answer ends as under the plugin: conflicts fail, errors of builtins are undefined',
  async (t) => {
    const rego = `package envoy.authz

allow := true if input.parsed_path[0] == "conflict"

allow := {"allowed": false} if input.parsed_path[0] == "conflict"

allow if {
	input.parsed_path[0] == "divide"
	1 / count(input.parsed_query) > 0
}

allow if {
	input.parsed_path[0] == "token"
	io.jwt.decode(input.parsed_path[1])
}

allow if {
	input.parsed_path[0] == "number"
	to_number(input.parsed_path[1]) > 0
}

allow := {"allowed": true, "headers": {"x-set": {"a"}}} if input.parsed_path[0] == "set"

allow := {"allowed": true, "headers": {1: "x"}} if input.parsed_path[0] == "key"

allow := {"allowed"} if input.parsed_path[0] == "sets"
`
    await using pair = await startPair({ rego, policy: { onUndefined: 'grpc_error', onError: 'grpc_error' } })
    for (const [path, kind] of [
      ['/conflict', 'failed'],
      ['/divide', 'failed'],
      ['/divide?a=1', 'ok'],
      ['/token/nonsense', 'failed'],
      ['/token/e30.e30.', 'ok'],
      ['/number/x', 'failed'],
      ['/number/1', 'ok'],
      // A set is an array by the time that Envoy's answer is made of it.
      ['/set', 'ok'],
      ['/key', 'ok'],
      ['/sets', 'failed'],
    ] as const) {
      const bytes = checkBytes({ path })
      const [theirs, ours] = await Promise.all([pair.plugin.ask(bytes), pair.sluice.ask(bytes)])
      t.equal(theirs.kind, kind, path)
      t.ok(isSame(theirs, ours), path, { theirs, ours })
      t.equal(ours.kind, kind, path)
    }
  },
)

t.test('a dry run lets go on what the plugin lets go on in one, with the same changes', async (t) => {
  await using pair = await startPair({
    rego: contractRego,
    policy: { dryRun: true },
    settings: ['dry-run=true'],
  })
  let allowed = 0
  const named = [resultCheck(false), resultCheck({ allowed: false, body: 'no', dynamic_metadata: { a: 1 } })]
  for (const bytes of [...named, ...fc.sample(resultChecks, { numRuns: 150, seed: 2 })]) {
    const [theirs, ours] = await Promise.all([pair.plugin.ask(bytes), pair.sluice.ask(bytes)])
    t.ok(isSame(theirs, ours), 'alike', { theirs, ours })
    if (ours.kind === 'ok') allowed++
  }
  t.ok(allowed > 50, `${allowed} went on`)
  t.match(await pair.sluice.ask(checkBytes({ path: '/%zz' })), { kind: 'denied', httpStatus: 400 })
})

t.test('without body parsing the input is what the plugin makes it', async (t) => {
  await using pair = await startPair({
    rego: contractRego,
    policy: { skipRequestBodyParse: true },
    settings: ['skip-request-body-parse=true'],
  })
  for (const bytes of [
    checkBytes(),
    bodyCheck('application/json', '{"a":1}'),
    bodyCheck('application/json', '{'),
  ]) {
    const [theirs, ours] = await Promise.all([pair.plugin.ask(bytes), pair.sluice.ask(bytes)])
    t.ok(isSame(theirs, ours), 'alike', { theirs, ours })
    t.notOk('body' in ours && ours.body.includes('parsed_body'))
  }
})

t.test('the time can be written as text, as older plugins did', async (t) => {
  using sluice = await openInProcess(contractRego, { requestTime: 'rfc3339' })
  const timeOf = async (time: { seconds?: bigint; nanos?: number }) => {
    const answer = await sluice.ask(bytesOf({ request: { time, http: {} } }))
    const input =
      'body' in answer ? (inputOf(answer.body) as { attributes: { request: { time: unknown } } }) : undefined
    return input?.attributes.request.time
  }
  const rows: readonly (readonly [time: { seconds?: bigint; nanos?: number }, text: unknown])[] = [
    [{ seconds: 1_790_000_000n }, '2026-09-21T14:13:20Z'],
    [{ seconds: 1_790_000_000n, nanos: 120_000_000 }, '2026-09-21T14:13:20.120Z'],
    [{ seconds: 1_790_000_000n, nanos: 123_456_000 }, '2026-09-21T14:13:20.123456Z'],
    [{ seconds: 0n, nanos: 1 }, '1970-01-01T00:00:00.000000001Z'],
    [{}, '1970-01-01T00:00:00Z'],
    // What is no date stays what it is.
    [{ seconds: 2n ** 50n }, { seconds: 2 ** 50 }],
  ]
  for (const [time, text] of rows) t.same(await timeOf(time), text, String(text))
  const without = await sluice.ask(bytesOf({ request: { http: {} } }))
  t.notMatch('body' in without ? without.body : '', /"time"/)
})

t.test('a client is told why only where that is asked for', async (t) => {
  const why = 'the path has a malformed escape'
  const bad = checkBytes({ path: '/%zz' })
  const badJson = checkBytes({ path: '/%zz', headers: { accept: 'application/json' } })
  using quiet = await openInProcess(contractRego)
  for (const bytes of [bad, badJson, wrongCheck])
    t.notMatch(JSON.stringify(await quiet.ask(bytes)), /escape|allowed/)
  using frank = await openInProcess(contractRego, { errorDetailToClient: true })
  t.match(await frank.ask(bad), { body: `The request could not be read. ${why}\n` })
  const json = await frank.ask(badJson)
  t.match(JSON.parse('body' in json ? json.body : ''), {
    detail: why,
    error: 'The request could not be read.',
  })
  t.match(await frank.ask(wrongCheck), { kind: 'error', body: /allowed/ })
})

t.test('depth and size of the input are bounded', async (t) => {
  using sluice = await openInProcess(contractRego, { maxDepth: 3, maxInputBytes: 2000 })
  const refused = { kind: 'denied', httpStatus: 400, grpcCode: 3 } as const
  t.match(await sluice.ask(bodyCheck('application/json', '[[[1]]]')), { httpStatus: 403 })
  t.match(await sluice.ask(bodyCheck('application/json', '[[[[1]]]]')), refused)
  t.match(await sluice.ask(checkBytes({ headers: { 'x-a': 'x'.repeat(1500) } })), { httpStatus: 403 })
  t.match(await sluice.ask(checkBytes({ headers: { 'x-a': 'x'.repeat(2000) } })), refused)
  // Three octets each: few characters, but too many octets.
  t.match(await sluice.ask(checkBytes({ headers: { 'x-a': '€'.repeat(400) } })), { httpStatus: 403 })
  t.match(await sluice.ask(checkBytes({ headers: { 'x-a': '€'.repeat(700) } })), refused)
})

t.test('the switches stand in the configuration, and their defaults refuse', async (t) => {
  using folder = temporaryFolder()
  const path = join(folder.path, 'sluice.yaml')
  const read = (policy: object) => {
    writeFileSync(
      path,
      JSON.stringify({
        policy: { bundle: 'b', ...policy },
        listen: { agent: 'unix:/x', probes: '127.0.0.1:0' },
      }),
    )
    return loadConfig(path).policy
  }
  t.match(read({}), {
    onUndefined: 'deny',
    onError: 'deny',
    dryRun: false,
    skipRequestBodyParse: false,
    requestTime: 'object',
    errorDetailToClient: false,
    maxInputBytes: 1 << 20,
    maxDepth: 128,
  })
  t.equal(read({ protoDescriptor: 'd.binpb' })?.protoDescriptor, join(folder.path, 'd.binpb'))
  for (const wrong of [{ onUndefined: 'allow' }, { onError: 'allow' }, { maxDepth: 0 }, { dryRun: 'yes' }])
    t.throws(() => read(wrong), { name: 'SluiceError' }, JSON.stringify(wrong))
})
