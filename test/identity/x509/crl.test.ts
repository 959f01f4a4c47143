import { createPrivateKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import {
  bits,
  boolean,
  integer,
  name,
  octetString,
  oid,
  sequence,
  tagged,
  time,
  toDer,
} from '#identity/dev-ca/der.ts'
import { openDevCa } from '#identity/dev-ca/dev-ca.ts'
import { parseX509SvidResponse } from '#identity/workload-api/x509-messages.ts'
import { type Certificate, parseCertificate } from '#identity/x509/certificate.ts'
import { isRevoked, parseCrl } from '#identity/x509/crl.ts'
import { virtualTime } from '../../base/virtual-time.ts'
import fc from '../../fast-check.ts'
import { temporaryFolder } from '../../harness/temp.ts'
import { derOf, entry, spiffeId, x509Message } from '../workload-api/messages.ts'

using folder = temporaryFolder()
const { clock } = virtualTime()
const ca = openDevCa(folder.path, { trustDomain: 'example.org', clock })
const authority = parseCertificate(derOf(ca.bundlePem))
const caKey = createPrivateKey(readFileSync(join(folder.path, 'ca.key')))
const leaf = parseCertificate(derOf(ca.issue({ spiffeId }).certificatePem))

const extension = (id: string, isCritical: boolean) =>
  sequence([oid(id), ...(isCritical ? [boolean(true)] : []), octetString(Buffer.from([5, 0]))])

interface Wanted {
  readonly issuer: Buffer
  readonly serials: readonly string[]
  readonly key: KeyObject
  readonly version: number
  readonly isExtensionCritical: boolean
  readonly isEntryCritical: boolean
}

/** A list that is all right, to change one thing of. */
function crl(more: Partial<Wanted> = {}): Buffer {
  const { issuer, serials, key, version, isExtensionCritical, isEntryCritical }: Wanted = {
    ...{ issuer: authority.subject, serials: [leaf.serial], key: caKey, version: 1 },
    ...{ isExtensionCritical: false, isEntryCritical: false },
    ...more,
  }
  const algorithm = sequence([oid('1.2.840.10045.4.3.2')])
  const entries = serials.map((serial) =>
    sequence([
      integer(Buffer.from(serial, 'hex')),
      time(clock.nowMs()),
      sequence([extension('2.5.29.21', isEntryCritical)]),
    ]),
  )
  const tbs = sequence([
    integer(Buffer.from([version])),
    algorithm,
    issuer,
    time(clock.nowMs()),
    time(clock.nowMs() + 3_600_000),
    ...(entries.length > 0 ? [sequence(entries)] : []),
    tagged(0, [sequence([extension('2.5.29.20', isExtensionCritical)])]),
  ])
  return toDer(sequence([tbs, algorithm, bits(sign('sha256', toDer(tbs), key))]))
}

t.test('a certificate is revoked where its issuer says so, and nobody else', async (t) => {
  const stranger = generateKeyPairSync('ec', { namedCurve: 'prime256v1' }).privateKey
  const another = toDer(name('another CA'))
  const mute: Certificate = { ...authority, keyUsage: { isCritical: true, bits: new Set([5]) } }
  const rows: [name: string, list: Buffer, authorities: readonly Certificate[], isIt: boolean][] = [
    ['its serial', crl(), [authority], true],
    ['among others', crl({ serials: ['01', leaf.serial, '02'] }), [authority], true],
    ['nobody', crl({ serials: [] }), [authority], false],
    ['another serial', crl({ serials: ['01'] }), [authority], false],
    ['signed by a stranger', crl({ key: stranger }), [authority], false],
    ['of another name', crl({ issuer: another }), [authority], false],
    ['by who is no authority', crl(), [], false],
    ['by who may not sign lists', crl(), [mute], false],
  ]
  for (const [name, list, authorities, isIt] of rows)
    t.equal(isRevoked(leaf, [parseCrl(list)], authorities), isIt, name)
})

t.test('a list that could be read in two ways is refused', async (t) => {
  const good = crl()
  const rows: [name: string, list: Buffer, why: RegExp][] = [
    ['rubbish', Buffer.from('hello'), /malformed DER/],
    ['something behind it', Buffer.concat([good, Buffer.from([0])]), /something after/],
    ['cut off', good.subarray(0, -1), /malformed DER/],
    ['version 3', crl({ version: 2 }), /not a version 2/],
    ['of part of the certificates', crl({ isExtensionCritical: true }), /critical extension.*2.5.29.20/],
    ['of certificates of others', crl({ isEntryCritical: true }), /critical extension.*2.5.29.21/],
    ['too large', Buffer.alloc((1 << 20) + 1), /over 1 MiB/],
  ]
  for (const [name, list, why] of rows)
    t.throws(() => parseCrl(list), { name: 'MalformedError', message: why }, name)
})

t.test('no bytes make it throw anything else', async () => {
  const good = crl()
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, octet) => {
      const bytes = Buffer.from(good)
      bytes[at] = octet
      try {
        parseCrl(bytes)
      } catch (thrown) {
        return thrown instanceof Error && thrown.name === 'MalformedError'
      }
      return true
    }),
  )
})

t.test('a message of the Workload API whose identity is revoked is refused', async (t) => {
  const message = entry({ ca, bundle: authority.der })
  const { serial } = parseCertificate(message.x509Svid as Buffer)
  const read = (serials: readonly string[]) =>
    parseX509SvidResponse(x509Message({ svids: [message], crl: [crl({ serials })] }), clock.nowMs())
  t.match(read([serial]), { ok: false, why: /revoked/ })
  t.match(read(['01']), { ok: true })
})

t.test('no bytes make the reader of a message throw', async () => {
  const good = Buffer.from(x509Message({ svids: [entry({ ca, bundle: authority.der })] }))
  fc.assert(
    fc.property(fc.nat(good.length - 1), fc.nat(255), (at, octet) => {
      const bytes = Buffer.from(good)
      bytes[at] = octet
      const read = parseX509SvidResponse(bytes, clock.nowMs())
      return read.ok || typeof read.why === 'string'
    }),
    { numRuns: 300 },
  )
})
