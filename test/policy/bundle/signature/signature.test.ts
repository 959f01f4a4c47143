import { createSign, generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { readBundle, unpackBundle } from '#policy/bundle/bundle.ts'
import { canonicalJson } from '#policy/bundle/signature/canonical-json.ts'
import {
  type SignatureAlgorithm,
  type Verification,
  verifyBundle,
} from '#policy/bundle/signature/signature.ts'
import fc from '../../../fast-check.ts'
import { goTool } from '../../../harness/go-tools.ts'
import { run } from '../../../harness/run.ts'
import { temporaryFolder } from '../../../harness/temp.ts'

const decision = 'envoy/authz/allow'
const rego = 'package envoy.authz\n\nallow if input.user == data.owners[_]\n'
/** Numbers and texts of which a careless reader would make others. */
const data = `{"owners": ["alice", "z\\u00fc <b>&\\u2028\\u2029\\u0008\\u000c\\u007f"], "n": [1.0, 1e5, 12345678901234567890, -0.0, 1E-7],
  "\\ud83d\\ude00": 1, "\\uff5e": 2, "a b": {"__proto__": {"x": null}, "10": true, "9": false}}`

const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
const p256 = generateKeyPairSync('ec', { namedCurve: 'prime256v1' })
const p384 = generateKeyPairSync('ec', { namedCurve: 'secp384r1' })
const pem = (key: { export(options: { type: 'spki'; format: 'pem' }): string | Buffer }) =>
  String(key.export({ type: 'spki', format: 'pem' }))
const secretPem = (key: { export(options: { type: 'pkcs8'; format: 'pem' }): string | Buffer }) =>
  String(key.export({ type: 'pkcs8', format: 'pem' }))

interface Signer {
  readonly algorithm: SignatureAlgorithm
  readonly signingKey: string
  readonly key: string
}
const signers: Signer[] = [
  ...(['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'] as const).map((algorithm) => ({
    algorithm,
    signingKey: secretPem(rsa.privateKey),
    key: pem(rsa.publicKey),
  })),
  { algorithm: 'ES256', signingKey: secretPem(p256.privateKey), key: pem(p256.publicKey) },
  { algorithm: 'ES384', signingKey: secretPem(p384.privateKey), key: pem(p384.publicKey) },
  { algorithm: 'HS256', signingKey: 'a-secret', key: 'a-secret' },
]

/** A bundle made and signed by the real `opa build`. */
async function signed(signer: Signer, claims: object = {}): Promise<Map<string, Buffer>> {
  using folder = temporaryFolder()
  const path = (name: string) => join(folder.path, name)
  mkdirSync(path('src'))
  writeFileSync(path('src/policy.rego'), rego)
  writeFileSync(path('src/data.json'), data)
  writeFileSync(path('key'), signer.signingKey)
  writeFileSync(path('claims.json'), JSON.stringify({ keyid: 'main', ...claims }))
  await run(
    await goTool('opa'),
    [
      ...['build', '-t', 'wasm', '-e', decision, '-b', '.', '-o', path('out.tar.gz'), '-r', 'r1'],
      ...[
        '--signing-key',
        path('key'),
        '--signing-alg',
        signer.algorithm,
        '--claims-file',
        path('claims.json'),
      ],
    ],
    { cwd: path('src') },
  )
  return unpackBundle(readFileSync(path('out.tar.gz')), 'signed')
}

const verification = (signer: Signer, change: Partial<Verification> = {}): Verification => ({
  keys: new Map([['main', { key: signer.key, algorithm: signer.algorithm }]]),
  excludeFiles: [],
  ...change,
})

for (const signer of signers) {
  t.test(`a bundle that opa signed with ${signer.algorithm} is accepted`, async (t) => {
    const by = verifyBundle(await signed(signer), verification(signer), 'b')
    t.match(by, { keyId: 'main', scope: '' })
  })
}

const signer = signers[0] as Signer
const members = await signed(signer)
const scoped = await signed(signer, { scope: 'write' })

type Members = Map<string, Buffer>
const changed = (change: (members: Members) => void) => {
  const copy = new Map(members)
  change(copy)
  return copy
}
const signaturesOf = (from: Members): string => JSON.parse(String(from.get('.signatures.json'))).signatures[0]
const withToken = (from: Members, token: string) =>
  new Map(from).set('.signatures.json', Buffer.from(JSON.stringify({ signatures: [token] })))
const b64 = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
const partsOf = (from: Members) => {
  const [head = '', body = '', tail = ''] = signaturesOf(from).split('.')
  const json = (part: string) => JSON.parse(Buffer.from(part, 'base64url').toString())
  return { head, body, tail, header: json(head), payload: json(body) }
}
const parts = partsOf(members)
/** Signed again, by the right key: what the signature says is wrong, not the signature. */
const resigned = (payload: object, header: object = parts.header) => {
  const text = `${b64(header)}.${b64(payload)}`
  const tail = createSign('sha256').update(text).sign(rsa.privateKey).toString('base64url')
  return withToken(members, `${text}.${tail}`)
}
const filesWith = (change: object) => ({
  ...parts.payload,
  files: parts.payload.files.map((file: { name: string }, index: number) =>
    index === 0 ? { ...file, ...change } : file,
  ),
})
const wasm = [...members.keys()].find((path) => path.endsWith('.wasm')) as string
const other = generateKeyPairSync('rsa', { modulusLength: 2048 })

const tampered: [how: string, members: Members, says: RegExp, change?: Partial<Verification>][] = [
  ['without a signature', changed((m) => m.delete('.signatures.json')), /expected a signature/],
  [
    'with no token',
    new Map(members).set('.signatures.json', Buffer.from('{"signatures": []}')),
    /exactly one signature/,
  ],
  [
    'with two tokens',
    new Map(members).set(
      '.signatures.json',
      Buffer.from(JSON.stringify({ signatures: [signaturesOf(members), signaturesOf(members)] })),
    ),
    /exactly one signature/,
  ],
  [
    'for a plugin',
    new Map(members).set(
      '.signatures.json',
      Buffer.from(JSON.stringify({ signatures: [signaturesOf(members)], plugin: 'mine' })),
    ),
    /exactly one signature/,
  ],
  [
    'with a signature file that is no JSON',
    new Map(members).set('.signatures.json', Buffer.from('{')),
    /exactly one signature in JSON/,
  ],
  ['with a token of two parts', withToken(members, 'a.b'), /no compact JWT/],
  [
    'with a token that is no base64url',
    withToken(members, `${parts.head}.${parts.body}.a+b/`),
    /no compact JWT/,
  ],
  [
    'with a changed value',
    changed((m) => m.set('data.json', Buffer.from(String(m.get('data.json')).replace('alice', 'mallory')))),
    /data\.json: the digest/,
  ],
  [
    'with a number written otherwise',
    changed((m) => m.set('data.json', Buffer.from(String(m.get('data.json')).replace('1.0', '1.00')))),
    /data\.json: the digest/,
  ],
  [
    'with a changed module',
    changed((m) => m.set(wasm, Buffer.concat([m.get(wasm) as Buffer, Buffer.from([0])]))),
    /policy\.wasm: the digest/,
  ],
  [
    'with another revision',
    changed((m) => m.set('.manifest', Buffer.from(String(m.get('.manifest')).replace('r1', 'r2')))),
    /\.manifest: the digest/,
  ],
  [
    'with a data file that is no JSON',
    changed((m) => m.set('data.json', Buffer.from('{'))),
    /data\.json: .*expected JSON/,
  ],
  ['with a file more', changed((m) => m.set('extra/data.json', Buffer.from('{}'))), /was not signed/],
  ['with a file less', changed((m) => m.delete('data.json')), /every file that was signed/],
  [
    'with one file under the name of another',
    changed((m) => m.set('.manifest', m.get('data.json') as Buffer)),
    /\.manifest: the digest/,
  ],
  [
    'with a flipped bit in the signature',
    withToken(
      members,
      `${parts.head}.${parts.body}.${parts.tail.replace(/^./, (c) => (c === 'A' ? 'B' : 'A'))}`,
    ),
    /does not fit/,
  ],
  ['without the signature itself', withToken(members, `${parts.head}.${parts.body}.`), /does not fit/],
  [
    'with a changed payload',
    withToken(members, `${parts.head}.${b64({ ...parts.payload, iat: 1 })}.${parts.tail}`),
    /does not fit/,
  ],
  [
    'signed by nobody',
    withToken(members, `${b64({ ...parts.header, alg: 'none' })}.${parts.body}.`),
    /signed with none/,
  ],
  [
    'signed with the public key as a secret',
    withToken(members, `${b64({ ...parts.header, alg: 'HS256' })}.${parts.body}.${parts.tail}`),
    /signed with HS256/,
  ],
  [
    'with another algorithm of the same key',
    withToken(members, `${b64({ ...parts.header, alg: 'PS256' })}.${parts.body}.${parts.tail}`),
    /signed with PS256/,
  ],
  [
    'signed with a key nobody knows',
    withToken(members, `${b64({ ...parts.header, kid: 'other' })}.${parts.body}.${parts.tail}`),
    /the key "other"; expected one of main/,
  ],
  [
    'signed by another',
    members,
    /does not fit/,
    { keys: new Map([['main', { key: pem(other.publicKey), algorithm: 'RS256' }]]) },
  ],
  [
    'where the key is one for another algorithm',
    members,
    /a key for RS256/,
    { keys: new Map([['main', { key: pem(p256.publicKey), algorithm: 'RS256' }]]) },
  ],
  [
    'where the key is none',
    members,
    /a key for RS256/,
    { keys: new Map([['main', { key: 'nothing', algorithm: 'RS256' }]]) },
  ],
  ['for another scope', scoped, /the scope "write"; expected the scope ""/],
  [
    'without the scope that is asked for',
    members,
    /the scope ""; expected the scope "write"/,
    { scope: 'write' },
  ],
  ['with a digest by MD5', resigned(filesWith({ algorithm: 'MD5' })), /a digest by MD5/],
  ['with a digest by SHA-1', resigned(filesWith({ algorithm: 'SHA-1' })), /a digest by SHA-1/],
  ['with a digest by nothing', resigned(filesWith({ algorithm: '' })), /a digest by/],
  ['with a digest of nothing', resigned(filesWith({ hash: '' })), /the digest/],
  ['that lists no file', resigned({ ...parts.payload, files: [] }), /was not signed/],
  [
    'that lists a file twice',
    resigned({
      ...parts.payload,
      files: [...parts.payload.files, { ...parts.payload.files[0], name: `/${parts.payload.files[0].name}` }],
    }),
    /a file twice/,
  ],
  ['whose payload has no files', resigned({ scope: '' }), /a payload of files and scope/],
]

for (const [how, from, says, change] of tampered) {
  t.test(`a bundle ${how} is refused`, async (t) => {
    t.throws(() => verifyBundle(from, verification(signer, change), 'b'), {
      code: 'bundle_signature_refused',
      message: says,
    })
  })
}

t.test('what is signed is accepted, with a scope and with files that need no signature', async (t) => {
  t.match(verifyBundle(scoped, verification(signer, { scope: 'write' }), 'b'), { scope: 'write' })
  const key = { key: signer.key, algorithm: signer.algorithm, scope: 'write' }
  t.match(verifyBundle(scoped, verification(signer, { keys: new Map([['main', key]]) }), 'b'), {
    scope: 'write',
  })
  const more = changed((m) => m.set('notes/readme.txt', Buffer.from('x')))
  t.match(verifyBundle(more, verification(signer, { excludeFiles: ['notes/*'] }), 'b'), { keyId: 'main' })
  const kid = {
    ...verification(signer, { keyId: 'pinned' }),
    keys: new Map([['pinned', { key: signer.key, algorithm: signer.algorithm }]]),
  }
  t.match(verifyBundle(members, kid, 'b'), { keyId: 'pinned' })
})

t.test(
  'a signed bundle is read where keys are configured and refused where none are, and the other way round',
  async (t) => {
    using folder = temporaryFolder()
    const path = (name: string) => join(folder.path, name)
    writeFileSync(path('policy.rego'), rego)
    writeFileSync(path('key'), signer.signingKey)
    const args = ['build', '-t', 'wasm', '-e', decision, '-o', path('b.tar.gz'), '-b', '.']
    await run(
      await goTool('opa'),
      [...args, '--signing-key', path('key'), '--signing-alg', 'RS256', '--ignore', 'key'],
      { cwd: folder.path },
    )
    const bytes = readFileSync(path('b.tar.gz'))
    const keys = new Map([['default', { key: signer.key, algorithm: signer.algorithm }]])
    t.throws(() => readBundle(bytes, 'b', decision), /no key to verify with is configured/)
    t.throws(() => readBundle(bytes, 'b', decision, verification(signer)), /the key "default"/)
    t.match(readBundle(bytes, 'b', decision, { keys, excludeFiles: [] }).signedBy, { scope: '' })
    await run(await goTool('opa'), [...args, '--ignore', 'key'], { cwd: folder.path })
    t.throws(
      () => readBundle(readFileSync(path('b.tar.gz')), 'b', decision, { keys, excludeFiles: [] }),
      /expected a signature/,
    )
  },
)

t.test('space and the order of keys change nothing about canonical JSON, everything else does', async (t) => {
  const shuffled = (value: unknown): unknown =>
    typeof value !== 'object' || value === null
      ? value
      : Array.isArray(value)
        ? value.map(shuffled)
        : Object.fromEntries(
            Object.entries(value)
              .reverse()
              .map(([key, item]) => [key, shuffled(item)]),
          )
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const text = JSON.stringify(value)
      t.equal(canonicalJson(JSON.stringify(shuffled(value), null, 2)), canonicalJson(text))
    }),
    { numRuns: 200 },
  )
  fc.assert(
    fc.property(
      fc.oneof(fc.json(), fc.string(), fc.string({ unit: fc.constantFrom(...'[]{}",:\\ 01.-eE"u\n') })),
      (text) => {
        let isJson = true
        try {
          JSON.parse(text)
        } catch {
          isJson = false
        }
        if (!isJson) t.throws(() => canonicalJson(text), SyntaxError, text)
        else t.same(JSON.parse(canonicalJson(text)), JSON.parse(text), text)
      },
    ),
    { numRuns: 2000 },
  )
  t.not(canonicalJson('[1.0]'), canonicalJson('[1]'))
  for (const text of [
    '[1',
    '',
    ' ',
    '{',
    '{"a":1,}',
    '[1,]',
    '{a:1}',
    '{"a" 1}',
    '01',
    '1.',
    '-',
    '+1',
    'nul',
    'nulll',
  ])
    t.throws(() => canonicalJson(text), SyntaxError, text)
  for (const text of [
    '"',
    '"a',
    '"\\"',
    '"\\x"',
    '"\n"',
    '"\\u12"',
    '[1] 2',
    "'a'",
    '\u00a01',
    '/**/1',
    '[1}',
    'Infinity',
  ])
    t.throws(() => canonicalJson(text), SyntaxError, text)
  t.throws(() => canonicalJson('['.repeat(1e6)), RangeError)
  t.equal(
    canonicalJson(' {"b" : [ ] ,"a":{ }, "b":[ 1E5,-0.0 ,"\\\\" , "\\"" ]} '),
    '{"a":{},"b":[1E5,-0.0,"\\\\","\\""]}',
  )
  t.equal(canonicalJson('{"\\u0061": 1, "a": 2, "__proto__": 3}'), '{"__proto__":3,"a":2}')
})

t.test('data in YAML is digested as opa does it', async (t) => {
  using folder = temporaryFolder()
  const path = (name: string) => join(folder.path, name)
  mkdirSync(path('src/a'), { recursive: true })
  writeFileSync(path('src/a/data.yaml'), 'b: {z: 1, a: [yes, 1.50, 1e3, "<&>", null]}\nc: "\\u2028"\n')
  writeFileSync(path('src/data.yml'), 'top: [true, -0.5, 12345678]\n')
  writeFileSync(path('src/policy.rego'), rego)
  writeFileSync(path('key'), signer.signingKey)
  const key = ['--signing-key', path('key'), '--signing-alg', signer.algorithm]
  await run(await goTool('opa'), ['sign', ...key, '-b', '-o', path('src'), '.'], { cwd: path('src') })
  const members = new Map(
    ['a/data.yaml', 'data.yml', 'policy.rego', '.signatures.json'].map((name) => [
      name,
      readFileSync(path(`src/${name}`)),
    ]),
  )
  const keys = new Map([['k', { key: signer.key, algorithm: signer.algorithm }]])
  const check = () => verifyBundle(members, { keys, keyId: 'k', excludeFiles: [] }, 'b')
  t.match(check(), { keyId: 'k' })
  members.set('a/data.yaml', Buffer.from('b: {z: 2}\n'))
  t.throws(check, { message: /a\/data\.yaml: the digest/ })
})
