import { hash } from 'node:crypto'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import { type Any, anyPack } from '@bufbuild/protobuf/wkt'
import { encodePem } from '#crypto/pem.ts'
import { SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import { SPIFFECertValidatorConfigSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.js'
import { expiresAtMs, type X509Svid } from '#identity/x509/svid.ts'
import { bundleName, type SecretNames, type Wanted, wantedBy } from './names.ts'
import { type Nobody, nobodysDomain } from './nobody.ts'
import type { Usable } from './usable.ts'

/** A resource, ready to travel. */
export interface EncodedSecret {
  readonly kind: 'certificate' | 'trust'
  /** Of its content: the same content has the same one, in every process. */
  readonly version: string
  /** When a certificate's chain expires, milliseconds since the epoch. */
  readonly expiresAtMs?: number
  /** The bytes; of each spelling others, which mean the same. */
  spell(spelling: number): Any
}

/** What there is under a name. */
export type Found =
  | { readonly kind: 'there'; readonly encoded: EncodedSecret }
  /** Not in the state. Who holds something by that name gets what stands for nobody; who does not, waits. */
  | { readonly kind: 'gone'; readonly nobody: EncodedSecret }
  /** Nothing that may be handed out now: who holds something keeps it. */
  | { readonly kind: 'pending' }
  /** It can never be there. */
  | { readonly kind: 'impossible'; readonly why: string }

/** How a client wants to be told of trust bundles. */
export type Validator = 'spiffe' | 'trusted-ca'

/** What one state holds for those who ask, encoded when first asked for. */
export interface Secrets {
  find(name: string, validator: Validator): Found
  /** The names of everything: each identity and each bundle once, by its SPIFFE ID. */
  everything(): readonly string[]
}

const validatorName = 'envoy.tls.cert_validator.spiffe'
export const secretTypeName = `type.googleapis.com/${SecretSchema.typeName}`

/** Before the first state: whoever asks waits. */
export function noSecrets(names: SecretNames): Secrets {
  return {
    find: (name) => (wantedBy(name, names) === undefined ? impossible(name) : pending),
    everything: () => [],
  }
}

export function secretsOf(options: {
  readonly usable: Usable
  readonly names: SecretNames
  readonly nobody: () => Nobody
  readonly nowMs: () => number
}): Secrets {
  const { usable, names, nobody, nowMs } = options
  const certificates = new Map<string, EncodedSecret>()
  const contexts = new Map<string, EncodedSecret>()

  const certificateOf = (name: string, spiffeId: string | undefined): Found => {
    if (spiffeId === undefined || !usable.svids.has(spiffeId))
      return { kind: 'gone', nobody: nobodysCertificate(name, nobody()) }
    const svid = usable.svids.get(spiffeId)
    // It may have expired since the state came.
    if (svid === undefined || nowMs() >= expiresAtMs(svid)) return pending
    return { kind: 'there', encoded: remembered(certificates, name, () => certificate(name, svid)) }
  }

  const contextOf = (name: string, domains: readonly string[], validator: Validator): Found => {
    if (domains.every((domain) => !usable.bundles.has(domain)))
      return { kind: 'gone', nobody: validationContext(name, nobodysTrust(nobody()), validator) }
    const encoded = remembered(contexts, `${validator} ${name}`, () => {
      const trusted = domains.flatMap((trustDomain): Trust[] => {
        const authorities = usable.bundles.get(trustDomain)?.x509Authorities ?? []
        return authorities.length === 0 ? [] : [{ trustDomain, pem: chainPem(authorities) }]
      })
      return validationContext(name, trusted.length === 0 ? nobodysTrust(nobody()) : trusted, validator)
    })
    return { kind: 'there', encoded }
  }

  return {
    find: (name, validator) => {
      const wanted: Wanted | undefined = wantedBy(name, names)
      switch (wanted?.kind) {
        case undefined:
          return impossible(name)
        case 'default':
          return certificateOf(name, usable.defaultId)
        case 'identity':
          return certificateOf(name, wanted.spiffeId)
        case 'own-bundle':
          return contextOf(name, usable.ownDomain === undefined ? [] : [usable.ownDomain], validator)
        case 'bundle':
          return contextOf(name, [wanted.trustDomain], validator)
        case 'all-bundles':
          // One CA file for all would let each trust domain speak for every other.
          return validator === 'trusted-ca'
            ? { kind: 'impossible', why: `${name} needs the SPIFFE validator: bundles are never merged` }
            : contextOf(name, [...usable.bundles.keys()].sort(), validator)
        default:
          return wanted satisfies never
      }
    },
    everything: () => [...usable.svids.keys(), ...[...usable.bundles.keys()].sort().map(bundleName)],
  }
}

const pending: Found = { kind: 'pending' }

function impossible(name: string): Found {
  return { kind: 'impossible', why: `no secret can have the name ${JSON.stringify(name.slice(0, 256))}` }
}

function remembered(made: Map<string, EncodedSecret>, key: string, make: () => EncodedSecret): EncodedSecret {
  let encoded = made.get(key)
  if (encoded === undefined) {
    encoded = make()
    made.set(key, encoded)
  }
  return encoded
}

/** CA certificates by the trust domain whose identities they vouch for. */
interface Trust {
  readonly trustDomain: string
  readonly pem: string
}

function nobodysTrust({ authorityPem }: Nobody): readonly Trust[] {
  return [{ trustDomain: nobodysDomain, pem: authorityPem }]
}

function certificate(name: string, svid: X509Svid): EncodedSecret {
  const key = svid.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  return { ...tlsCertificate(name, chainPem(svid.chain), key), expiresAtMs: expiresAtMs(svid) }
}

function nobodysCertificate(name: string, { certificatePem, privateKeyPem }: Nobody): EncodedSecret {
  return tlsCertificate(name, certificatePem, privateKeyPem)
}

/** Chain and key always travel together, in one message. */
function tlsCertificate(name: string, chain: string, privateKeyPem: string): EncodedSecret {
  return {
    kind: 'certificate',
    // The key is the certificate's: the version need not know it.
    version: versionOf(chain),
    spell: (spelling) => {
      const certificateChain = inline(chain + '\n'.repeat(spelling))
      const value = { certificateChain, privateKey: inline(privateKeyPem) }
      return packed({ name, type: { case: 'tlsCertificate', value } })
    },
  }
}

function validationContext(name: string, trust: readonly Trust[], validator: Validator): EncodedSecret {
  return {
    kind: 'trust',
    version: versionOf(
      `${validator}\n${trust.map(({ trustDomain, pem }) => `${trustDomain}\n${pem}`).join('')}`,
    ),
    spell: (spelling) => {
      const space = '\n'.repeat(spelling)
      if (validator === 'trusted-ca') {
        const trustedCa = inline(trust.map(({ pem }) => pem).join('') + space)
        return packed({ name, type: { case: 'validationContext', value: { trustedCa } } })
      }
      const trustDomains = trust.map(({ trustDomain, pem }) => ({
        name: trustDomain,
        trustBundle: inline(pem + space),
      }))
      const typedConfig = anyPack(
        SPIFFECertValidatorConfigSchema,
        create(SPIFFECertValidatorConfigSchema, { trustDomains }),
      )
      const value = { customValidatorConfig: { name: validatorName, typedConfig } }
      return packed({ name, type: { case: 'validationContext', value } })
    },
  }
}

function versionOf(publicText: string): string {
  return hash('sha256', publicText, 'hex').slice(0, 16)
}

function packed(secret: MessageInitShape<typeof SecretSchema>): Any {
  return anyPack(SecretSchema, create(SecretSchema, secret))
}

function inline(text: string): { readonly specifier: { readonly case: 'inlineBytes'; value: Uint8Array } } {
  return { specifier: { case: 'inlineBytes', value: Buffer.from(text) } }
}

function chainPem(certificates: readonly { readonly der: Buffer }[]): string {
  return certificates.map(({ der }) => encodePem('CERTIFICATE', der)).join('')
}
