import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { MalformedError } from '#base/malformed.ts'
import { createDevCa } from '#identity/dev-ca/dev-ca.ts'
import { parseCertificate } from '#identity/x509/certificate.ts'
import { findChain } from '#identity/x509/chain.ts'
import { parseLeaf } from '#identity/x509/leaf.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import fc from '../../fast-check.ts'
import { certificatesOf, dersOf } from './kit.ts'

const clock = manualClock()
const ca = createDevCa({ trustDomain: 'example.org', clock })
const spiffeId = 'spiffe://example.org/ns/acme/sa/app'
const der = dersOf(ca.issue({ spiffeId }).certificatePem)[0] as Buffer
const authorities = certificatesOf(ca.bundlePem)

/** The octets with something at a place taken out and something else put in. */
function edited(bytes: Buffer, at: number, remove: number, insert: Buffer): Buffer {
  return Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)])
}

const anyEdit = fc
  .record({ at: fc.nat(der.length - 1), remove: fc.nat(4), insert: fc.uint8Array({ maxLength: 4 }) })
  .map(({ at, remove, insert }) => edited(der, at, remove, Buffer.from(insert)))

t.test('no octets make a parser throw anything but MalformedError', async (t) => {
  const isCivil = (bytes: Buffer) => {
    try {
      parseCertificate(bytes)
    } catch (thrown) {
      if (!(thrown instanceof MalformedError)) throw thrown
    }
    parseLeaf(bytes)
    return true
  }
  fc.assert(fc.property(anyEdit, isCivil), { numRuns: 2000 })
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => isCivil(Buffer.from(bytes))),
    { numRuns: 500 },
  )
  for (let length = 0; length < der.length; length++) isCivil(der.subarray(0, length))
  t.pass()
})

t.test('a leaf of which one octet was changed has no chain', async (t) => {
  fc.assert(
    fc.property(anyEdit, (bytes) => {
      if (bytes.equals(der)) return true
      const parsed = parseLeaf(bytes)
      if (!parsed.ok) return true
      const { certificate } = parsed.leaf
      return !findChain(certificate, { intermediates: [], authorities, nowMs: clock.nowMs() }).ok
    }),
    { numRuns: 2000 },
  )
  for (let at = 0; at < der.length; at++) {
    const bytes = Buffer.from(der)
    bytes[at] = (bytes[at] as number) ^ 0x01
    const parsed = parseLeaf(bytes)
    const isGood =
      parsed.ok &&
      findChain(parsed.leaf.certificate, { intermediates: [], authorities, nowMs: clock.nowMs() }).ok
    if (isGood) t.fail(`octet ${at}`)
  }
  t.pass()
})

t.test('lengths that are not in their one form are refused, where OpenSSL reads on', async (t) => {
  // The outer length is of two octets: 30 82 xx xx. With a zero before it, it says the same.
  const longer = edited(der, 1, 1, Buffer.from([0x83, 0]))
  t.doesNotThrow(() => new X509Certificate(longer), 'OpenSSL takes it')
  t.match(parseLeaf(longer), { ok: false, why: /not in its shortest form/ })
  const indefinite = Buffer.concat([Buffer.from([0x30, 0x80]), der.subarray(4), Buffer.from([0, 0])])
  t.match(parseLeaf(indefinite), { ok: false, why: /a length/ })
})

t.test('what the development CA issues has the profile that the standards ask for', async (t) => {
  const many = Array.from({ length: 20 }, () => ca.issue({ spiffeId }).certificatePem)
  for (const leaf of certificatesOf(...many)) {
    t.match(leaf, { hasSubject: false, isAltNameCritical: true, isCa: false, keyUsage: { isCritical: true } })
    t.match(leaf.serial, /^[4-7][0-9a-f]{31}$/, '128 bits, positive')
    t.equal(leaf.authorityKeyId?.equals(authorities[0]?.subjectKeyId as Buffer), true)
  }
  t.match(authorities[0], { isCa: true, maxPathLength: 0, keyUsage: { isCritical: true } })
})

t.test('times are of two digits until 2049 and of four from then on', async (t) => {
  for (const [year, form] of [
    [2049, '17'],
    [2050, '18'],
  ] as const) {
    const notBeforeMs = Date.UTC(year, 11, 31, 22)
    const { certificatePem } = ca.issue({ spiffeId, wrong: { notBeforeMs } })
    const [leaf] = certificatesOf(certificatePem)
    t.equal(leaf?.notBeforeMs, notBeforeMs)
    t.equal(leaf?.notAfterMs, notBeforeMs + 3_600_000)
    t.equal(Date.parse(new X509Certificate(certificatePem).validFrom), notBeforeMs)
    const text = year === 2049 ? '491231220000Z' : '20501231220000Z'
    const at = leaf?.der.indexOf(text) ?? -1
    t.equal(leaf?.der.subarray(at - 2, at - 1).toString('hex'), form)
  }
})

t.test('RFC 5280, 4.1.2.5: a time is to the second and in Greenwich', async (t) => {
  const wanted = (text: string) => parseLeaf(withNotBefore(text))
  t.match(wanted('260101000000Z'), { ok: true })
  for (const text of ['2601010000Z', '260101000000+0100', '2601010000-0100', '260101000000'])
    t.match(wanted(text), { ok: false, why: /a time/ }, text)
})

/** The leaf with another text for the time from which it is valid. */
function withNotBefore(text: string): Buffer {
  // SEQUENCE { UTCTime of 13, UTCTime of 13 }; the lengths around it are of two octets.
  const at = der.indexOf('301e170d', 0, 'hex')
  const time = Buffer.concat([Buffer.from([0x17, text.length]), Buffer.from(text)])
  const bytes = edited(der, at + 2, 15, time)
  const more = text.length - 13
  for (const place of [2, 6]) bytes.writeUInt16BE(bytes.readUInt16BE(place) + more, place)
  bytes.writeUInt8(bytes.readUInt8(at + 1) + more, at + 1)
  return bytes
}
