import { hash } from 'node:crypto'
import t from 'tap'
import type { Peer, TokenFacts } from '#decision/exchange.ts'
import { checkBinding } from '#identity/binding/binding.ts'
import { createLeafHistory } from '#identity/binding/leaf-history.ts'
import { manualClock } from '../../decision/an-exchange.ts'

const clock = manualClock()
const peerWith = (leaf: string, spiffeId = 'spiffe://example.org/ns/acme/sa/a'): Peer => ({
  spiffeId,
  trustDomain: 'example.org',
  path: ['ns', 'acme', 'sa', 'a'],
  certificateSha256: hash('sha256', leaf),
  notAfterMs: clock.nowMs() + 3_600_000,
})
const boundTo = (leaf: string) => ({ confirmation: { certificateSha256: hash('sha256', leaf, 'base64url') } })
const key = { confirmation: { keyThumbprint: '0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I' } }

t.test('a token is taken from whom it was issued to', async (t) => {
  const rows: [
    rule: string,
    token: Pick<TokenFacts, 'confirmation'>,
    scheme: 'bearer' | 'dpop',
    peer: Peer,
    outcome: string | RegExp,
  ][] = [
    ['8705, 3', boundTo('a'), 'bearer', peerWith('a'), 'certificate'],
    ['8705, 3', boundTo('a'), 'bearer', peerWith('b'), /another certificate/],
    [
      '8705, 3.1: one spelling',
      { confirmation: { certificateSha256: `${boundTo('a').confirmation.certificateSha256}=` } },
      'bearer',
      peerWith('a'),
      /no SHA-256/,
    ],
    [
      '8705, 3.1: hex is not base64url',
      { confirmation: { certificateSha256: hash('sha256', 'a') } },
      'bearer',
      peerWith('a'),
      /no SHA-256/,
    ],
    ['8705, 3.1: empty', { confirmation: { certificateSha256: '' } }, 'bearer', peerWith('a'), /no SHA-256/],
    ['unbound', {}, 'bearer', peerWith('a'), 'nothing'],
    ['unbound', { confirmation: {} }, 'bearer', peerWith('a'), 'nothing'],
    ['9449, 7.1', key, 'dpop', peerWith('a'), 'proof'],
    ['9449, 7.2', key, 'bearer', peerWith('a'), /without a proof/],
    ['9449, 7.1', {}, 'dpop', peerWith('a'), /names no key/],
    ['9449, 7.1', boundTo('a'), 'dpop', peerWith('a'), /names no key/],
    [
      'both',
      { confirmation: { ...key.confirmation, ...boundTo('a').confirmation } },
      'dpop',
      peerWith('a'),
      'certificate',
    ],
    [
      'both',
      { confirmation: { ...key.confirmation, ...boundTo('a').confirmation } },
      'dpop',
      peerWith('b'),
      /another certificate/,
    ],
    [
      'both',
      { confirmation: { ...key.confirmation, ...boundTo('a').confirmation } },
      'bearer',
      peerWith('a'),
      /without a proof/,
    ],
  ]
  for (const [rule, token, scheme, peer, outcome] of rows) {
    const verdict = checkBinding(token, scheme, peer)
    const expected = typeof outcome === 'string' ? { ok: true, by: outcome } : { ok: false, why: outcome }
    t.match(verdict, expected, `${rule}: ${String(outcome)}`)
  }
})

t.test('the certificate before this one counts for the grace, for the same workload alone', async (t) => {
  const history = createLeafHistory({ graceSeconds: 60, clock })
  const old = peerWith('old')
  history.seen(old)
  history.seen(peerWith('new'))
  const ask = (peer: Peer, leaf = 'old') => checkBinding(boundTo(leaf), 'bearer', peer, history)
  t.same(ask(peerWith('new')), { ok: true, by: 'previous_certificate' })
  t.same(ask(peerWith('old')), { ok: true, by: 'certificate' })
  t.match(ask(peerWith('new', 'spiffe://example.org/ns/acme/sa/b')), { ok: false }, 'another workload')
  t.match(ask(peerWith('new'), 'never shown'), { ok: false })
  t.match(checkBinding(boundTo('old'), 'bearer', peerWith('new')), { ok: false }, 'without the setting')
  clock.advanceMs(30_000)
  history.seen(old)
  clock.advanceMs(60_000)
  t.match(ask(peerWith('new')), { ok: true }, 'counted from when it was last shown')
  clock.advanceMs(1)
  t.match(ask(peerWith('new')), { ok: false })
})

t.test('a certificate that has expired has no grace', async (t) => {
  const history = createLeafHistory({ graceSeconds: 60, clock })
  history.seen({ ...peerWith('old'), notAfterMs: clock.nowMs() + 10 })
  const ask = () => checkBinding(boundTo('old'), 'bearer', peerWith('new'), history)
  t.match(ask(), { ok: true })
  clock.advanceMs(10)
  t.match(ask(), { ok: false })
})

t.test('the memory is bounded, for one workload and for all', async (t) => {
  const history = createLeafHistory({ graceSeconds: 60, clock })
  for (let i = 0; i < 65; i++) {
    history.seen(peerWith(`leaf ${i}`))
    clock.advanceMs(1)
  }
  const isRecent = (i: number) => history.isRecent(peerWith('now'), hash('sha256', `leaf ${i}`))
  t.notOk(isRecent(0), 'the one that was shown longest ago made room')
  t.ok(isRecent(1))
  t.ok(isRecent(64))
  for (let i = 0; i < 10_000; i++) history.seen(peerWith('x', `spiffe://example.org/w/${i}`))
  t.notOk(isRecent(64))
})
