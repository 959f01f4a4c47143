import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf'
import { anyPack } from '@bufbuild/protobuf/wkt'
import { SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import { SPIFFECertValidatorConfigSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.js'
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js'
import { startGrpcServer } from '#grpc/grpc.ts'
import type { Method, StreamWriter } from '#grpc/service.ts'
import type { Identity } from '../../harness/http.ts'
import type { SdsForm } from '../../harness/sds-envoy.ts'
import { eventually } from '../../harness/temp.ts'
import { secretType } from './talk.ts'

type SecretInit = MessageInitShape<typeof SecretSchema>

/** A server that says what no sane one would, to see what Envoy makes of it. */
export interface ScriptedSds extends AsyncDisposable {
  readonly address: string
  /** Sends an answer for a name and gives what Envoy says of it: its error, or `accepted`. */
  say(name: string, secrets: readonly SecretInit[], removed?: readonly string[]): Promise<string>
}

export async function startScriptedSds(folder: string, form: SdsForm): Promise<ScriptedSds> {
  const writers = new Map<string, StreamWriter>()
  const answers = new Map<string, string>()
  let count = 0
  const heard = (
    request: {
      readonly names: readonly string[]
      readonly nonce: string
      readonly error: string | undefined
    },
    writer: StreamWriter,
  ) => {
    for (const name of request.names) writers.set(name, writer)
    if (request.nonce !== '') answers.set(request.nonce, request.error ?? 'accepted')
  }
  const method = (path: string, read: (bytes: Buffer) => Parameters<typeof heard>[0]): Method => ({
    kind: 'stream',
    path: `/envoy.service.secret.v3.SecretDiscoveryService/${path}`,
    open: (writer) => ({
      message: (bytes) => heard(read(bytes), writer),
      halfClosed: () => writer.close(),
      ended: () => {},
    }),
  })
  const address = `unix:${folder}/scripted.sock`
  const server = await startGrpcServer({
    listen: address,
    maxMessageBytes: 1 << 20,
    drainMs: 0,
    methods: [
      method('StreamSecrets', (bytes) => {
        const { resourceNames, responseNonce, errorDetail } = fromBinary(DiscoveryRequestSchema, bytes)
        return { names: resourceNames, nonce: responseNonce, error: errorDetail?.message }
      }),
      method('DeltaSecrets', (bytes) => {
        const request = fromBinary(DeltaDiscoveryRequestSchema, bytes)
        const { resourceNamesSubscribe, responseNonce, errorDetail } = request
        return { names: resourceNamesSubscribe, nonce: responseNonce, error: errorDetail?.message }
      }),
    ],
  })
  return {
    address,
    say: async (name, secrets, removed = []) => {
      const writer = await eventually(`Envoy asks for ${name}`, () => writers.get(name))
      const nonce = String(++count)
      const resources = secrets.map((secret) => anyPack(SecretSchema, create(SecretSchema, secret)))
      writer.send(
        form === 'GRPC'
          ? toBinary(
              DiscoveryResponseSchema,
              create(DiscoveryResponseSchema, { versionInfo: nonce, nonce, typeUrl: secretType, resources }),
            )
          : toBinary(
              DeltaDiscoveryResponseSchema,
              create(DeltaDiscoveryResponseSchema, {
                systemVersionInfo: nonce,
                nonce,
                typeUrl: secretType,
                resources: resources.map((resource) => ({ name, version: nonce, resource })),
                removedResources: [...removed],
              }),
            ),
      )
      return eventually('Envoy says something', () => answers.get(nonce))
    },
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  }
}

const inline = (text: string) => ({
  specifier: { case: 'inlineBytes' as const, value: Buffer.from(text) },
})

export function certificateSecret(chain: Identity, key: Identity = chain): SecretInit {
  const value = { certificateChain: inline(chain.certificatePem), privateKey: inline(key.privateKeyPem) }
  return { name: 'default', type: { case: 'tlsCertificate', value } }
}

/** A context of the SPIFFE validator: PEM by trust domain. */
export function trustSecret(domains: readonly (readonly [name: string, pem: string])[]): SecretInit {
  const typedConfig = anyPack(
    SPIFFECertValidatorConfigSchema,
    create(SPIFFECertValidatorConfigSchema, {
      trustDomains: domains.map(([name, pem]) => ({ name, trustBundle: inline(pem) })),
    }),
  )
  const value = { customValidatorConfig: { name: 'envoy.tls.cert_validator.spiffe', typedConfig } }
  return { name: 'ALL', type: { case: 'validationContext', value } }
}

/** A context that says nothing, or names one CA file for everybody. */
export function plainTrustSecret(pem?: string): SecretInit {
  const value = pem === undefined ? {} : { trustedCa: inline(pem) }
  return { name: 'ALL', type: { case: 'validationContext', value } }
}
