import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Clock, systemClock } from '#base/clock.ts'
import { messageOf, SluiceError } from '#base/errors.ts'
import { pause as systemPause } from '#base/pause.ts'
import { startGrpcServer } from '#grpc/grpc.ts'
import { openDevAuthority } from '../dev-ca/authority.ts'
import { parseSpiffeId, type SpiffeId, trustDomainFault } from '../spiffe-id.ts'
import { parseEndpointAddress } from './address.ts'
import { workloadApiMethods } from './methods.ts'
import { openRegistrations } from './registrations.ts'

export interface WorkloadApiOptions {
  /** Of the development CA; made when it is empty. */
  readonly dir: string
  readonly trustDomain: string
  /** Given to everybody who can open the socket; the first is the default. */
  readonly identities: readonly WorkloadIdentity[]
  /** `unix:///path`. */
  readonly socket: string
  /** Who may open it: 0o600 its owner, 0o660 the owner's group too. */
  readonly socketMode?: 0o600 | 0o660
  readonly ttlSeconds?: number
  readonly jwtTtlSeconds?: number
  readonly clock?: Clock
  readonly pause?: typeof systemPause
  /** From 0 to 1. */
  readonly random?: () => number
  onHandlerFault?(cause: unknown): void
}

export interface WorkloadIdentity {
  readonly spiffeId: string
  /** What it is for. */
  readonly hint?: string
}

export interface WorkloadApi extends AsyncDisposable {
  /** In place of those before; whoever listens hears at once. Nobody is fine too: then nothing is given to anybody. */
  replaceIdentities(identities: readonly WorkloadIdentity[]): void
}

const maxMessageBytes = 64 << 10

/**
 * Serves the SPIFFE Workload API from a development CA: for laptops and tests, where no SPIRE is. It asks nobody who they
 * are: the file mode of the socket is all there is.
 *
 * @throws SluiceError where an argument is wrong, the CA is no good, or the socket cannot be bound.
 */
export async function startWorkloadApi(options: WorkloadApiOptions): Promise<WorkloadApi> {
  const { dir, trustDomain, clock = systemClock, pause = systemPause, random = Math.random } = options
  const address = parseEndpointAddress(options.socket)
  if (!address.ok || address.address.kind !== 'unix')
    throw refused('socket', options.socket, address.ok ? 'not a Unix socket' : address.why, 'unix:///path')
  const fault = trustDomainFault(trustDomain)
  if (fault !== undefined) throw refused('trust domain', trustDomain, fault, 'a name such as example.org')
  const read = (identities: readonly WorkloadIdentity[]) =>
    identities.map(({ spiffeId, ...rest }) => ({ id: idOf(spiffeId, trustDomain), ...rest }))
  const first = read(options.identities)
  const authority = openDevAuthority(dir, { trustDomain, clock })

  await using opening = new AsyncDisposableStack()
  const { path } = address.address
  makeFolderOf(path)
  const { ttlSeconds = 3600, jwtTtlSeconds = 300 } = options
  const registrations = opening.use(openRegistrations(first, { authority, ttlSeconds, clock, pause, random }))
  opening.use(
    await startGrpcServer({
      listen: `unix:${path}`,
      socketMode: options.socketMode ?? 0o600,
      methods: workloadApiMethods({ registrations, jwt: authority.jwt, jwtTtlSeconds, clock }),
      maxMessageBytes,
      // Streams have no end of their own.
      drainMs: 100,
      ...(options.onHandlerFault && { onHandlerFault: options.onHandlerFault }),
    }),
  )
  const owned = opening.move()
  return {
    replaceIdentities: (identities) => registrations.replace(read(identities)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function makeFolderOf(path: string): void {
  try {
    mkdirSync(dirname(path), { recursive: true })
  } catch (thrown) {
    throw refused('socket', path, messageOf(thrown), 'a path in a folder that is there or can be made')
  }
}

function idOf(text: string, trustDomain: string): SpiffeId {
  const parsed = parseSpiffeId(text)
  if (!parsed.ok) throw refused('SPIFFE ID', text, parsed.why, `spiffe://${trustDomain}/…`)
  if (parsed.id.trustDomain !== trustDomain)
    throw refused('SPIFFE ID', text, 'of another trust domain', `spiffe://${trustDomain}/…`)
  return parsed.id
}

function refused(place: string, text: string, why: string, expected: string): SluiceError {
  return new SluiceError({
    code: 'option_invalid',
    place,
    found: `${JSON.stringify(text)}: ${why}`,
    expected,
  })
}
