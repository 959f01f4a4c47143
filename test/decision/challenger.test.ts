import t from 'tap'
import { type ChallengeSettings, createChallenger } from '#decision/challenger.ts'
import { createPipeline } from '#decision/pipeline.ts'
import { type ReasonCode, reasons } from '#decision/reasons.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import { deny, failure, type Refusal } from '#decision/verdict.ts'
import { someRequest, someResources } from './an-exchange.ts'

function headersOf(authorization?: string): RequestHeaders {
  const headers = new RequestHeaders()
  if (authorization !== undefined) headers.add('authorization', authorization)
  return headers
}

/** Each scheme with its parameters as one object, in order. */
function told(refusal: Refusal, settings: ChallengeSettings = {}, authorization?: string) {
  const answer = createChallenger(settings)(refusal, headersOf(authorization))
  if (answer.kind !== 'deny' || answer.challenge === undefined) return undefined
  return answer.challenge.schemes.map(({ scheme, parameters }) => ({
    scheme,
    ...Object.fromEntries(parameters),
  }))
}

t.test('every refusal of a token that a better one would help has the error of its RFC', async (t) => {
  const rows: [reason: ReasonCode, rfc: string, error: string | undefined][] = [
    ['token_missing', '6750, 3.1: no error where nothing was sent', undefined],
    ['credentials_ambiguous', '6750, 3.1', 'invalid_request'],
    ['token_malformed', '6750, 3.1', 'invalid_token'],
    ['token_invalid', '6750, 3.1', 'invalid_token'],
    ['token_signature_invalid', '6750, 3.1', 'invalid_token'],
    ['token_key_unknown', '6750, 3.1', 'invalid_token'],
    ['token_issuer_unknown', '6750, 3.1', 'invalid_token'],
    ['token_audience_wrong', '6750, 3.1', 'invalid_token'],
    ['token_expired', '6750, 3.1', 'invalid_token'],
    ['token_inactive', '6750, 3.1', 'invalid_token'],
    ['token_binding_mismatch', '8705, 3', 'invalid_token'],
    ['step_up_required', '9470, 3', 'insufficient_user_authentication'],
    ['scope_insufficient', '6750, 3.1', 'insufficient_scope'],
  ]
  for (const [reason, rfc, error] of rows) {
    const [first, ...others] = told(deny(reason, 'SECRET')) ?? []
    const expected =
      error === undefined
        ? { scheme: 'Bearer' }
        : { scheme: 'Bearer', error, error_description: reasons[reason].text }
    t.same(first, expected, `${reason}: RFC ${rfc}`)
    t.same(others, [])
  }
})

t.test(
  'every 401 about a token or a proof has a challenge, and nothing that no token would mend',
  async (t) => {
    const aboutTokens = /^(token_|dpop_|step_up_|scope_|credentials_)/
    for (const reason of Object.keys(reasons) as ReasonCode[]) {
      const isExpected = aboutTokens.test(reason) && [400, 401, 403].includes(reasons[reason].httpStatus)
      t.equal(told(deny(reason)) !== undefined, isExpected, reason)
      t.equal(told(failure(reason, null)), undefined, `${reason} as a failure of ours`)
    }
  },
)

t.test('realm and metadata stand in every scheme, algorithms in DPoP only', async (t) => {
  const settings = {
    realm: 'models',
    resourceMetadata: 'https://models.example/.well-known/oauth-protected-resource',
    dpopAlgorithms: ['ES256', 'EdDSA'],
  }
  const [realm, resource_metadata, algs] = ['models', settings.resourceMetadata, 'ES256 EdDSA']
  t.same(told(deny('token_missing'), settings), [
    { scheme: 'Bearer', realm, resource_metadata },
    { scheme: 'DPoP', realm, algs, resource_metadata },
  ])
  t.same(told(deny('token_missing'), { ...settings, isDpopRequired: true }), [
    { scheme: 'DPoP', realm, algs, resource_metadata },
  ])
})

t.test('the error is said of the scheme that the client used', async (t) => {
  const dpopAlgorithms = ['ES256']
  const schemes = (reason: ReasonCode, settings: ChallengeSettings, authorization?: string) =>
    told(deny(reason), settings, authorization)?.map((each) => [each.scheme, 'error' in each])
  const rows: [reason: ReasonCode, settings: ChallengeSettings, authorization: string, expected: unknown][] =
    [
      [
        'token_expired',
        { dpopAlgorithms },
        'Bearer x',
        [
          ['Bearer', true],
          ['DPoP', false],
        ],
      ],
      [
        'token_expired',
        { dpopAlgorithms },
        'dpop x',
        [
          ['DPoP', true],
          ['Bearer', false],
        ],
      ],
      ['token_expired', {}, 'DPoP x', [['Bearer', true]]],
      [
        'token_binding_mismatch',
        { dpopAlgorithms, isDpopRequired: true },
        'Bearer x',
        [
          ['Bearer', true],
          ['DPoP', false],
        ],
      ],
      [
        'dpop_proof_invalid',
        { dpopAlgorithms },
        'Bearer x',
        [
          ['DPoP', true],
          ['Bearer', false],
        ],
      ],
      ['dpop_proof_replayed', { dpopAlgorithms, isDpopRequired: true }, 'DPoP x', [['DPoP', true]]],
    ]
  for (const [reason, settings, authorization, expected] of rows)
    t.same(schemes(reason, settings, authorization), expected, `${reason} ${authorization}`)
  t.match(told(deny('dpop_proof_invalid'), { dpopAlgorithms }), [{ error: 'invalid_dpop_proof' }])
  t.match(told(deny('dpop_nonce_required'), { dpopAlgorithms }), [{ error: 'use_dpop_nonce' }])
})

t.test('what a stage demands is told, a nonce beside it', async (t) => {
  const refusal: Refusal = {
    kind: 'deny',
    reason: 'step_up_required',
    demand: { acrValues: ['phr', 'mfa'], maxAgeSeconds: 0, scope: 'infer admin', nonce: 'n1' },
  }
  t.match(told(refusal), [{ acr_values: 'phr mfa', max_age: '0', scope: 'infer admin' }])
  t.match(createChallenger()(refusal, headersOf()), { challenge: { nonce: 'n1' } })
})

t.test('the pipeline challenges whatever refuses, from whichever stage', async (t) => {
  const pipeline = createPipeline({
    stages: [{ name: 'identity', failureReason: 'internal_error', request: () => deny('token_missing') }],
    resources: someResources,
    deadlineMs: 1000,
    challenger: createChallenger({ realm: 'models' }),
  })
  const x = pipeline.open(someRequest())
  const schemes = [{ scheme: 'Bearer', parameters: [['realm', 'models']] }]
  t.match(await pipeline.request(x), { kind: 'deny', challenge: { schemes } })
  t.match(pipeline.refuse(x, deny('token_missing')), { challenge: { schemes } })
  t.notOk('challenge' in pipeline.refuse(x, deny('rate_limited')))
})
