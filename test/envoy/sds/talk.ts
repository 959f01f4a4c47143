import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { type Any, anyUnpack } from '@bufbuild/protobuf/wkt'
import type { JsonObject } from '#base/json.ts'
import type { SecretDiscovery } from '#envoy/sds/sds.ts'
import type { DataSource } from '#gen/envoy/config/core/v3/base_pb.js'
import { type Secret, SecretSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import { SPIFFECertValidatorConfigSchema } from '#gen/envoy/extensions/transport_sockets/tls/v3/tls_spiffe_validator_config_pb.js'
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js'
import type { Status, StreamReader } from '#grpc/service.ts'
import { bareCall } from '../kit.ts'

export type Form = 'state of the world' | 'delta'
export const forms: readonly Form[] = ['state of the world', 'delta']

export const secretType = `type.googleapis.com/${SecretSchema.typeName}`

/** One answer as its receiver reads it. */
export interface Answer {
  readonly version: string
  readonly nonce: string
  readonly secrets: readonly Secret[]
  readonly removed: readonly string[]
  /** By name, where the form has them. */
  readonly versions: Readonly<Record<string, string>>
}

export interface Asking {
  readonly node?: JsonObject
  readonly typeUrl?: string
  readonly nonce?: string
  /** What it has from an earlier stream: the version of the state of the world, or versions by name. */
  readonly held?: string | Readonly<Record<string, string>>
}

/** A scripted Envoy on one stream, without a socket. */
export interface Talk {
  /** Subscribes to these names and no others. */
  want(names: readonly string[], more?: Asking): void
  /** Says yes to the last answer, or to the one with that nonce. */
  accept(nonce?: string): void
  refuse(why: string, nonce?: string): void
  sayBytes(bytes: Uint8Array): void
  /** Envoy goes away. */
  leave(): void
  /** Answers since the last look. */
  heard(): Answer[]
  /** The same, only names, each list sorted; of an answer that takes away, with a minus before them. */
  heardNames(): string[][]
  closed(): Status | 'ok' | undefined
}

export function talk(discovery: SecretDiscovery, form: Form): Talk {
  const isDelta = form === 'delta'
  const path = `/envoy.service.secret.v3.SecretDiscoveryService/${isDelta ? 'DeltaSecrets' : 'StreamSecrets'}`
  const method = discovery.methods.find((each) => each.path === path)
  if (method?.kind !== 'stream') throw new Error('no such stream')
  let answers: Answer[] = []
  let closed: Status | 'ok' | undefined
  let last: Answer | undefined
  let accepted = ''
  let names: readonly string[] = []
  let isFirst = true
  let isOver = false
  const end = () => {
    if (isOver) return
    isOver = true
    reader?.ended()
  }
  let reader: StreamReader | undefined
  reader = method.open(
    {
      send: (bytes) => {
        last = isDelta ? readDelta(bytes) : readWorld(bytes)
        answers.push(last)
      },
      close: (status) => {
        closed ??= status ?? 'ok'
        end()
      },
      pause: () => {},
      resume: () => {},
    },
    bareCall,
  )
  // As the host does it where the call was over before it began.
  if (isOver) reader.ended()
  const say = (bytes: Uint8Array) => {
    if (!isOver) reader?.message(Buffer.from(bytes))
  }
  const world = (more: Asking & { readonly error?: string }) =>
    say(
      toBinary(
        DiscoveryRequestSchema,
        create(DiscoveryRequestSchema, {
          ...(more.node && { node: { metadata: more.node as Record<string, string> } }),
          versionInfo: typeof more.held === 'string' ? more.held : accepted,
          resourceNames: [...names],
          typeUrl: more.typeUrl ?? secretType,
          responseNonce: more.nonce ?? last?.nonce ?? '',
          ...(more.error !== undefined && { errorDetail: { code: 13, message: more.error } }),
        }),
      ),
    )
  const delta = (
    more: Asking & {
      readonly error?: string
      readonly subscribe?: readonly string[]
      readonly unsubscribe?: readonly string[]
    },
  ) =>
    say(
      toBinary(
        DeltaDiscoveryRequestSchema,
        create(DeltaDiscoveryRequestSchema, {
          ...(more.node && { node: { metadata: more.node as Record<string, string> } }),
          typeUrl: more.typeUrl ?? secretType,
          resourceNamesSubscribe: [...(more.subscribe ?? [])],
          resourceNamesUnsubscribe: [...(more.unsubscribe ?? [])],
          initialResourceVersions: typeof more.held === 'object' ? { ...more.held } : {},
          responseNonce: more.nonce ?? '',
          ...(more.error !== undefined && { errorDetail: { code: 13, message: more.error } }),
        }),
      ),
    )
  const heard = () => {
    const taken = answers
    answers = []
    return taken
  }
  return {
    want: (wanted, more = {}) => {
      const before = new Set(names)
      names = wanted
      if (!isDelta) world(isFirst ? { nonce: '', ...more } : more)
      else {
        const unsubscribe = [...before].filter((name) => !wanted.includes(name))
        delta({ ...more, subscribe: wanted.filter((name) => isFirst || !before.has(name)), unsubscribe })
      }
      isFirst = false
    },
    accept: (nonce = last?.nonce ?? '') => {
      if (isDelta) return delta({ nonce })
      accepted = last?.version ?? ''
      world({ nonce })
    },
    refuse: (error, nonce = last?.nonce ?? '') =>
      isDelta ? delta({ nonce, error }) : world({ nonce, error }),
    sayBytes: say,
    leave: end,
    heard,
    heardNames: () =>
      heard().map(({ secrets, removed }) =>
        [...secrets.map(({ name }) => name), ...removed.map((name) => `-${name}`)].sort(),
      ),
    closed: () => closed,
  }
}

function readWorld(bytes: Uint8Array): Answer {
  const { versionInfo, nonce, resources } = fromBinary(DiscoveryResponseSchema, bytes)
  return { version: versionInfo, nonce, secrets: resources.map(secretIn), removed: [], versions: {} }
}

function readDelta(bytes: Uint8Array): Answer {
  const { systemVersionInfo, nonce, resources, removedResources } = fromBinary(
    DeltaDiscoveryResponseSchema,
    bytes,
  )
  const secrets = resources.map(({ resource }) => secretIn(resource as Any))
  const versions = Object.fromEntries(resources.map(({ name, version }) => [name, version]))
  return { version: systemVersionInfo, nonce, secrets, removed: removedResources, versions }
}

export function secretIn(any: Any): Secret {
  const secret = anyUnpack(any, SecretSchema)
  if (secret === undefined) throw new Error(`no secret: ${any.typeUrl}`)
  return secret
}

/** A secret in words: the certificate's PEM, or trust domains with their CAs. */
export function contentOf(secret: Secret): unknown {
  const text = (source: DataSource | undefined) =>
    Buffer.from((source?.specifier.value ?? '') as Uint8Array).toString()
  if (secret.type.case === 'tlsCertificate') return text(secret.type.value.certificateChain)
  if (secret.type.case !== 'validationContext') return undefined
  const { trustedCa, customValidatorConfig } = secret.type.value
  if (trustedCa !== undefined) return { trustedCa: text(trustedCa) }
  const config = anyUnpack(customValidatorConfig?.typedConfig as Any, SPIFFECertValidatorConfigSchema)
  return config?.trustDomains.map(({ name, trustBundle }) => [name, text(trustBundle)])
}

/** Contents without what differs from stream to stream: the empty lines at the end of a PEM. */
export function plain(content: unknown): unknown {
  if (typeof content === 'string') return content.replace(/\n*$/, '\n')
  if (Array.isArray(content)) return content.map(([name, pem]) => [name, plain(pem)])
  const { trustedCa } = content as { trustedCa: string }
  return { trustedCa: plain(trustedCa) }
}

/** The key in a secret, as PEM. */
export function keyOf(secret: Secret): string {
  const source = secret.type.case === 'tlsCertificate' ? secret.type.value.privateKey : undefined
  return Buffer.from((source?.specifier.value ?? '') as Uint8Array).toString()
}
