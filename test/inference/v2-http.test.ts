import t from 'tap'
import type { Exchange } from '#decision/exchange.ts'
import type { Verdict } from '#decision/verdict.ts'
import { createInferenceStage, pinPathVersion } from '#inference/inference.ts'
import { inTurn, someRequest, someResources, strictForm } from '../decision/an-exchange.ts'
import fc from '../fast-check.ts'

function read(path: string, more: Parameters<typeof someRequest>[0] = {}): { verdict: Verdict; x: Exchange } {
  const x: Exchange = {
    id: 'x',
    request: someRequest({ ...more, path }),
    resources: someResources(),
    startedUs: 0,
  }
  return { verdict: inTurn(x, strictForm, createInferenceStage()), x }
}

t.test('V2 paths are read into verb, model and version', async (t) => {
  const rows: [path: string, call: object][] = [
    ['/v2', { verb: 'server_metadata' }],
    ['/v2/', { verb: 'server_metadata' }],
    ['/v2/health/live', { verb: 'server_live' }],
    ['/v2/health/ready', { verb: 'server_ready' }],
    ['/v2/models/fraud', { verb: 'metadata', model: 'fraud' }],
    ['/v2/models/fraud/ready', { verb: 'model_ready', model: 'fraud' }],
    ['/v2/models/fraud/infer', { verb: 'infer', model: 'fraud' }],
    ['/v2/models/fraud/infer?x=1', { verb: 'infer', model: 'fraud' }],
    ['/v2/models/fraud/versions/2/infer', { verb: 'infer', model: 'fraud', version: '2' }],
    ['/v2/models/fraud/versions/2', { verb: 'metadata', model: 'fraud', version: '2' }],
    ['/v2/models/a.b-c_D/generate_stream', { verb: 'generate_stream', model: 'a.b-c_D' }],
    ['/v2/models/fraud/generate', { verb: 'generate', model: 'fraud' }],
    ['/v2/models/fraud/config', { verb: 'config', model: 'fraud' }],
    ['/v2/models/fraud/stats', { verb: 'stats', model: 'fraud' }],
    ['/v2/models/stats', { verb: 'stats' }],
  ]
  for (const [path, call] of rows) {
    const { verdict, x } = read(path)
    t.equal(verdict.kind, 'allow', path)
    t.same(x.call, { protocol: 'v2-http', ...call }, path)
  }
})

t.test('other paths are no call and may go on to policy', async (t) => {
  for (const path of ['/', '/v1/models', '/health', '/v3/models/fraud', '/people']) {
    const { verdict, x } = read(path)
    t.equal(verdict.kind, 'allow', path)
    t.equal(x.call, undefined, path)
  }
})

t.test('names that are none, and operations that are none, are refused', async (t) => {
  const rows: [path: string, reason: string][] = [
    ['/v2/models', 'model_name_invalid'],
    ['/v2/models/', 'model_name_invalid'],
    ['/v2/models/.fraud/infer', 'model_name_invalid'],
    ['/v2/models/-fraud/infer', 'model_name_invalid'],
    ['/v2/models/fra:ud/infer', 'model_name_invalid'],
    [`/v2/models/${'a'.repeat(256)}/infer`, 'model_name_invalid'],
    ['/v2/models/fraud/versions/0/infer', 'model_name_invalid'],
    ['/v2/models/fraud/versions/01/infer', 'model_name_invalid'],
    ['/v2/models/fraud/versions/-1/infer', 'model_name_invalid'],
    ['/v2/models/fraud/versions/1e3/infer', 'model_name_invalid'],
    ['/v2/models/fraud/versions', 'model_name_invalid'],
    ['/v2/models/fraud/infer/', 'operation_forbidden'],
    ['/v2/models/fraud/infer/x', 'operation_forbidden'],
    ['/v2/models/fraud/INFER', 'operation_forbidden'],
    ['/v2/models/fraud/constructor', 'operation_forbidden'],
    ['/v2/models/fraud/versions/1/versions/2/infer', 'operation_forbidden'],
    ['/v2/unknown', 'operation_forbidden'],
    ['/v2/repository/index', 'operation_forbidden'],
    ['/v2/repository/models/fraud/unload', 'operation_forbidden'],
    ['/v2/systemsharedmemory/region/x/register', 'operation_forbidden'],
    ['/v2/trace/setting', 'operation_forbidden'],
    ['/v2/models/fraud/trace/setting', 'operation_forbidden'],
    ['/v2/logging', 'operation_forbidden'],
  ]
  for (const [path, reason] of rows) t.match(read(path).verdict, { kind: 'deny', reason }, path)
})

t.test('a version is put into a path that has none, once', async (t) => {
  t.equal(pinPathVersion('/v2/models/fraud/infer', '2'), '/v2/models/fraud/versions/2/infer')
  t.equal(
    pinPathVersion('/v2/models/fraud/infer?a=/infer', '2'),
    '/v2/models/fraud/versions/2/infer?a=/infer',
  )
  t.equal(pinPathVersion('/v2/models/fraud/versions/1/infer', '2'), '/v2/models/fraud/versions/1/infer')
  fc.assert(
    fc.property(
      fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/),
      fc.integer({ min: 1, max: 99 }),
      (model, version) => {
        const pinned = pinPathVersion(`/v2/models/${model}/infer`, String(version))
        const { x } = read(pinned)
        return (
          x.call?.model === model &&
          x.call.version === String(version) &&
          pinPathVersion(pinned, '7') === pinned
        )
      },
    ),
  )
})

t.test('no path makes the stage throw', async (t) => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (path) => ['allow', 'deny'].includes(read(path).verdict.kind)),
  )
  t.pass()
})
