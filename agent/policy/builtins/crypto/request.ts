import { constructed, DerReader, rightAligned, tags } from '#crypto/der.ts'
import { algorithmIdentifier } from '#crypto/x509/algorithm.ts'
import { signatureAlgorithm } from '#crypto/x509/signature-algorithm.ts'
import { integerOf, type RegoObject, type RegoValue } from '../../values/value.ts'
import { OperandError } from '../operands.ts'
import { anyValue } from './any-value.ts'
import { assertUnique, parseSpki } from './certificate.ts'
import { base64, extensionDocuments, namesDocument } from './document.ts'
import { type Extension, noNames, parseAltNames, parseExtension } from './extensions.ts'
import { type Attribute, nameDocument } from './name.ts'

/**
 * A certificate signing request as Go's `x509.CertificateRequest` in JSON. Nobody looks at its signature, as in OPA.
 *
 * @throws OperandError where Go refuses it.
 * @see RFC 2986
 */
export function requestDocument(der: Buffer): RegoObject {
  const whole = new DerReader(der)
  const { whole: raw, contents } = whole.element(tags.sequence)
  if (!whole.isEmpty) throw new OperandError('something after a request')
  const outer = new DerReader(contents)
  const { whole: rawInfo, contents: infoContents } = outer.element(tags.sequence)
  const info = new DerReader(infoContents)
  const version = info.int64()
  const { whole: rawSubject } = info.any()
  const { whole: rawSpki, contents: spkiContents } = info.element(tags.sequence)
  const key = parseSpki(spkiContents, rawSpki)
  const attributes = elements(info.inside(constructed(0)))
  const algorithm = signatureAlgorithm(algorithmIdentifier(outer.inside(tags.sequence)))
  const signature = rightAligned(outer.bitString())
  const extensions = requestedExtensions(attributes)
  const altNames = extensions.find(({ id }) => id.join('.') === '2.5.29.17')
  const shown = attributes.flatMap(attributeDocument)
  return {
    Raw: base64(raw),
    RawTBSCertificateRequest: base64(rawInfo),
    RawSubjectPublicKeyInfo: base64(rawSpki),
    RawSubject: base64(rawSubject),
    Version: integerOf(version),
    Signature: base64(signature),
    SignatureAlgorithm: algorithm.number,
    PublicKeyAlgorithm: key.publicKeyAlgorithm,
    PublicKey: key.publicKey?.document ?? null,
    Subject: nameDocument(parseLooseName(rawSubject)),
    Attributes: shown.length === 0 ? null : shown,
    Extensions: extensionDocuments(extensions),
    ExtraExtensions: null,
    ...namesDocument(altNames === undefined ? noNames : parseAltNames(new DerReader(altNames.value))),
  }
}

function elements(reader: DerReader): Buffer[] {
  const found: Buffer[] = []
  while (!reader.isEmpty) found.push(reader.any().whole)
  return found
}

/** A name whose values may be of any type. */
function parseLooseName(der: Buffer): Attribute[] {
  const attributes: Attribute[] = []
  const whole = new DerReader(der)
  const names = whole.inside(tags.sequence)
  if (!whole.isEmpty) throw new OperandError('something after a subject')
  while (!names.isEmpty) {
    const set = names.inside(tags.set)
    while (!set.isEmpty) attributes.push(parseAttribute(set.inside(tags.sequence)))
  }
  return attributes
}

function parseAttribute(pair: DerReader): Attribute {
  return { type: pair.oid(), ...anyValue(pair.any()) }
}

/** An attribute whose values are lists of typed values; others, as a challenge password, are left out. */
function attributeDocument(der: Buffer): RegoValue[] {
  try {
    const attribute = new DerReader(der).inside(tags.sequence)
    const type = attribute.oid()
    const values = elements(attribute.inside(tags.set)).map((each) =>
      elements(new DerReader(each).inside(tags.sequence)).map((item) => {
        const pair = parseAttribute(new DerReader(item).inside(tags.sequence))
        return { Type: pair.type, Value: pair.value }
      }),
    )
    return [{ Type: type, Value: values }]
  } catch {
    // As Go: what has another form is ignored.
    return []
  }
}

const extensionRequest = '1.2.840.113549.1.9.14'

/** @throws OperandError where extensions are asked for that cannot be read, or one of them twice in one attribute. */
function requestedExtensions(attributes: readonly Buffer[]): Extension[] {
  const found: Extension[] = []
  for (const der of attributes) {
    const first = firstRequest(der)
    if (first === undefined) continue
    found.push(...elements(new DerReader(first).inside(tags.sequence)).map(readExtension))
    assertUnique(found)
  }
  return found
}

function readExtension(der: Buffer): Extension {
  return parseExtension(new DerReader(der).inside(tags.sequence))
}

/** The first value of an attribute that asks for extensions. */
function firstRequest(der: Buffer): Buffer | undefined {
  try {
    const attribute = new DerReader(der).inside(tags.sequence)
    const type = attribute.oid().join('.')
    const [first] = elements(attribute.inside(tags.set))
    return type === extensionRequest ? first : undefined
  } catch {
    // As above.
    return undefined
  }
}
