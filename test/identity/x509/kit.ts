import { nextPemBlock } from '#crypto/pem.ts'
import { type Certificate, parseCertificate } from '#identity/x509/certificate.ts'

/** Every certificate of a PEM text, in DER. */
export function dersOf(pem: string): Buffer[] {
  const found: Buffer[] = []
  let rest = pem
  for (let next = nextPemBlock(rest); next !== undefined; next = nextPemBlock(rest)) {
    found.push(next.block.bytes)
    rest = next.rest
  }
  return found
}

export function certificatesOf(...pems: readonly string[]): Certificate[] {
  return pems.flatMap(dersOf).map(parseCertificate)
}

/** Each certificate of a PEM text as a text of its own. */
export function blocksOf(pem: string): string[] {
  return dersOf(pem).map(
    (der) =>
      `-----BEGIN CERTIFICATE-----\n${der.toString('base64').replace(/.{64}/g, '$&\n').trimEnd()}\n-----END CERTIFICATE-----\n`,
  )
}
