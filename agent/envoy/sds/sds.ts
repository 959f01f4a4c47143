import { create, fromBinary, toBinary } from '@bufbuild/protobuf'
import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf } from '#base/errors.ts'
import {
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from '#gen/envoy/service/discovery/v3/discovery_pb.js'
import type { Method, Status, StreamWriter } from '#grpc/service.ts'
import type { IdentitySource } from '#identity/source/source.ts'
import { expiresAtMs } from '#identity/x509/svid.ts'
import type { Logger } from '#telemetry/telemetry.ts'
import {
  type Conversation,
  invalidArgument,
  requestFault,
  type Surroundings,
  validatorOf,
} from './conversation.ts'
import { DeltaStream } from './delta-stream.ts'
import { defaultNames, type SecretNames } from './names.ts'
import { createNobody, type Nobody } from './nobody.ts'
import { type EncodedSecret, noSecrets, type Secrets, secretsOf, secretTypeName } from './secrets.ts'
import { type Usable, usableOf } from './usable.ts'
import { WorldStream } from './world-stream.ts'

export const secretService = 'envoy.service.secret.v3.SecretDiscoveryService'

/** Gives Envoys the certificates and trust bundles of a source, and each change of them. */
export interface SecretDiscovery extends Disposable {
  readonly methods: readonly Method[]
  /** Why an Envoy has not what it should have, or gets nothing; `undefined` when all is well. */
  problem(): string | undefined
  /** What goes wrong while what was good before stays in force. */
  warning(): string | undefined
  /** Ends every stream, which else last as long as Envoy does, and begins no other. */
  drain(): void
  /** Streams that are open, and what became of answers since the start. */
  readonly counters: { streams: number; sent: number; accepted: number; refused: number }
}

const notFound = 5
const internal = 13
const unavailable = 14

const goingAway: Status = { code: unavailable, message: 'the agent goes away' }

interface OpenStream extends Pick<Conversation, 'push' | 'reconsider' | 'refusals'> {
  end(): void
}

/**
 * `envoy.service.secret.v3.SecretDiscoveryService`: the certificates, keys and trust bundles of one source, in both forms
 * of the protocol. A pair that does not fit or has expired is never sent. What is gone is replaced, where it was held, by
 * what nobody passes.
 *
 * @see docs/sds.md
 */
export function openSecretDiscovery(options: {
  readonly source: IdentitySource
  readonly names?: SecretNames
  readonly log: Logger
  readonly clock?: Clock
}): SecretDiscovery {
  const { source, names = defaultNames, log, clock = systemClock } = options
  const streams = new Set<OpenStream>()
  const counters = { streams: 0, sent: 0, accepted: 0, refused: 0 }
  const nowMs = () => clock.nowMs()
  let madeNobody: Nobody | undefined
  const nobody = () => {
    madeNobody ??= createNobody()
    return madeNobody
  }
  let isDraining = false
  let usable: Usable | undefined
  let secrets: Secrets = noSecrets(names)

  const subscription = source.subscribe((state) => {
    usable = usableOf(state, usable, nowMs())
    for (const { spiffeId, why, hasEarlier } of usable.faults)
      log.error({ spiffeId, why, hasEarlier }, 'sds: a pair that does not fit is not handed out')
    secrets = secretsOf({ usable, names, nobody, nowMs })
    for (const stream of [...streams]) stream.push()
  })

  const open = (writer: StreamWriter, make: (around: Surroundings) => Conversation) => {
    if (isDraining) {
      writer.close(goingAway)
      return { message: () => {}, halfClosed: () => {}, ended: () => {} }
    }
    let waitedFor: ReadonlySet<string> = new Set()
    const conversation = make({
      secrets: () => secrets,
      accepted: () => counters.accepted,
      send: (message) => writer.send(message),
      close: (status) => {
        log.warn({ why: status.message }, 'sds: a stream is ended')
        writer.close(status)
      },
      observe: (event, told, why) => {
        counters[event]++
        if (event === 'refused') log.error({ names: told, why }, 'sds: Envoy refuses what it was sent')
        else log.debug({ names: told }, `sds: ${event}`)
        if (event === 'accepted') for (const stream of [...streams]) stream.reconsider(told)
      },
      waiting: (missing) => {
        const news = missing.filter((name) => !waitedFor.has(name))
        waitedFor = new Set(missing)
        if (news.length > 0) log.warn({ names: news }, 'sds: asked for what is not there; it waits')
      },
    })
    /** What goes wrong in one stream is its end, and nobody else's. */
    const safely = (step: () => void) => {
      try {
        step()
      } catch (thrown) {
        log.error({ err: thrown }, 'sds: a stream failed')
        writer.close({ code: internal, message: 'stream failed' })
      }
    }
    const stream: OpenStream = {
      push: () => safely(() => conversation.push()),
      reconsider: (accepted) => safely(() => conversation.reconsider(accepted)),
      refusals: () => conversation.refusals(),
      end: () => writer.close(goingAway),
    }
    streams.add(stream)
    counters.streams++
    return {
      message: (bytes: Buffer) => safely(() => conversation.message(bytes)),
      halfClosed: () => writer.close(),
      ended: () => {
        if (streams.delete(stream)) counters.streams--
      },
    }
  }

  const fetch = (message: Buffer): Uint8Array | Status => {
    let request: DiscoveryRequest
    try {
      request = fromBinary(DiscoveryRequestSchema, message)
    } catch (thrown) {
      log.warn({ problem: messageOf(thrown) }, 'sds: a request that cannot be read')
      return { code: invalidArgument, message: 'malformed request' }
    }
    const fault = requestFault(request.typeUrl, request.resourceNames)
    if (fault !== undefined) return { code: invalidArgument, message: fault }
    if (usable === undefined) return { code: unavailable, message: 'no identity yet' }
    const wanted = request.resourceNames.length === 0 ? secrets.everything() : request.resourceNames
    const found: EncodedSecret[] = []
    for (const name of new Set(wanted)) {
      const secret = secrets.find(name, validatorOf(request.node))
      if (secret.kind === 'impossible') return { code: invalidArgument, message: secret.why }
      if (secret.kind !== 'there') return { code: notFound, message: `nothing by the name ${name}` }
      found.push(secret.encoded)
    }
    const response = create(DiscoveryResponseSchema, {
      versionInfo: String(source.current()?.generation ?? 0),
      resources: found.map((secret) => secret.spell(0)),
      typeUrl: secretTypeName,
    })
    return toBinary(DiscoveryResponseSchema, response)
  }

  /** The first refusal that leaves Envoy with what it should not have, or with nothing; or the first other one. */
  const refusal = (isGrave: boolean) =>
    [...streams]
      .flatMap((stream) => [...stream.refusals()])
      // An earlier certificate serves on. An earlier bundle lets in whom the new one does not.
      .find(({ inForce }) => {
        const isServing = inForce?.kind === 'certificate' && nowMs() < (inForce.expiresAtMs ?? 0)
        return isGrave !== isServing
      })

  const said = (refused: ReturnType<typeof refusal>) =>
    refused && `Envoy refuses ${refused.name}: ${refused.why}`

  return {
    counters,
    methods: [
      {
        kind: 'stream',
        path: `/${secretService}/StreamSecrets`,
        open: (writer) => open(writer, (around) => new WorldStream(around)),
      },
      {
        kind: 'stream',
        path: `/${secretService}/DeltaSecrets`,
        open: (writer) => open(writer, (around) => new DeltaStream(around)),
      },
      { kind: 'unary', path: `/${secretService}/FetchSecrets`, handle: fetch },
    ],
    problem: () => defaultProblem(usable, nowMs()) ?? said(refusal(true)),
    warning: () => {
      const fault = usable?.faults.find(({ hasEarlier }) => hasEarlier)
      return fault === undefined ? said(refusal(false)) : `${fault.spiffeId}: ${fault.why}`
    },
    drain: () => {
      isDraining = true
      for (const stream of [...streams]) stream.end()
    },
    [Symbol.dispose]: () => subscription[Symbol.dispose](),
  }
}

/** Why Envoy's own certificate cannot be handed out now. */
function defaultProblem(usable: Usable | undefined, nowMs: number): string | undefined {
  if (usable === undefined) return 'no identity yet'
  if (usable.defaultId === undefined) return 'the source has no identity for us'
  const svid = usable.svids.get(usable.defaultId)
  if (svid === undefined) {
    const fault = usable.faults.find(({ spiffeId }) => spiffeId === usable.defaultId)
    return `${usable.defaultId}: ${fault?.why}`
  }
  return nowMs >= expiresAtMs(svid) ? `${usable.defaultId}: the certificate has expired` : undefined
}
