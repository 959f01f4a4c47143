import type { Config } from '#config/config.ts'
import type { ChallengeSettings } from '#decision/challenger.ts'
import { createLeafHistory } from '#identity/binding/binding.ts'
import { createVerifyToken, type TokenRules } from '#identity/caller-token/caller-token.ts'
import {
  createMemoryReplayStore,
  createNonces,
  createProofCheck,
  type ProofCheck,
  type ReplayStore,
} from '#identity/dpop/dpop.ts'
import { createIntrospection, type Introspection } from '#identity/introspection/introspection.ts'
import type { IdentityState } from '#identity/source/source.ts'
import {
  createTokenVerifier,
  type TokenEvent,
  type TokenStatus,
  type TokenVerifier,
} from '#identity/token/token.ts'
import { openReplayStore } from '#limits/redis/redis.ts'
import type { ReadinessCheck } from '#telemetry/probes.ts'

type Issuers = NonNullable<Config['issuers']>
type Tokens = NonNullable<Config['tokens']>

export interface OpenedTokens extends AsyncDisposable {
  readonly rules: TokenRules
  readonly checks: readonly ReadinessCheck[]
  readonly challenges: ChallengeSettings
  status(): TokenStatus
}

/**
 * Opens what tokens are judged with: the keys of their issuers, the one that is asked, the memory of used proofs.
 *
 * @param state what is known of identities, for the keys of JWT-SVIDs
 * @returns undefined where no issuer is configured.
 */
export async function openTokens(
  { issuers, tokens }: Pick<Config, 'issuers' | 'tokens'>,
  options: {
    readonly state?: (() => IdentityState | undefined) | undefined
    readonly onEvent: (event: TokenEvent) => void
  },
): Promise<OpenedTokens | undefined> {
  if (issuers === undefined) return undefined
  await using opening = new AsyncDisposableStack()
  const verifier = opening.use(openVerifier(issuers, options))
  const asked = issuers.find(({ introspection }) => introspection !== undefined)
  const introspection = asked && openIntrospection(asked, verifier)
  const checks: ReadinessCheck[] = [
    { name: 'issuers', problem: verifier.problem, warning: verifier.warning },
    ...(introspection
      ? [{ name: 'introspection', problem: () => undefined, warning: introspection.problem }]
      : []),
  ]
  const { dpop, replay = 'memory', certificateBinding } = tokens ?? {}
  let proofs: ProofCheck | undefined
  if (dpop !== undefined) {
    const store = await openStore(replay)
    if (Symbol.asyncDispose in store) {
      const redis = opening.use(store)
      checks.push({ name: 'replay_store', problem: redis.problem })
    }
    proofs = openProofs(dpop, store)
  }
  const graceSeconds = certificateBinding?.graceSeconds ?? 0
  const rules: TokenRules = {
    verify: createVerifyToken(
      verifier,
      asked &&
        introspection && {
          name: asked.issuer,
          introspection,
          isAskedAboutJwts: asked.introspection?.tokens === 'all',
          hasKeys: asked.jwks !== undefined,
        },
    ),
    isRequired: tokens?.required ?? true,
    isProofRequired: dpop?.required ?? false,
    ...(proofs && { proofs }),
    ...(graceSeconds > 0 && { history: createLeafHistory({ graceSeconds }) }),
  }
  const owned = opening.move()
  return {
    rules,
    checks,
    challenges: {
      realm: tokens?.realm,
      resourceMetadata: tokens?.resourceMetadata,
      dpopAlgorithms: dpop?.algorithms,
      isDpopRequired: dpop?.required,
    },
    status: verifier.status,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function openVerifier(issuers: Issuers, { state, onEvent }: Parameters<typeof openTokens>[1]): TokenVerifier {
  return createTokenVerifier({
    // One that has no keys here is only asked.
    issuers: issuers.filter(({ jwks, profile }) => jwks !== undefined || profile === 'jwt-svid'),
    jwtAuthorities: { get: (trustDomain) => state?.()?.bundles.get(trustDomain)?.jwtAuthorities },
    onEvent,
  })
}

function openIntrospection(issuer: Issuers[number], verifier: TokenVerifier): Introspection | undefined {
  if (issuer.introspection === undefined) return undefined
  const { auth, signed, ...config } = issuer.introspection
  return createIntrospection(issuer, {
    ...config,
    authentication: auth,
    ...(signed && { signed: { keys: () => verifier.keysOf(issuer.issuer), algorithms: issuer.algorithms } }),
  })
}

type Store = ReplayStore | (ReplayStore & AsyncDisposable & { problem(): string | undefined })

async function openStore(replay: Tokens['replay']): Promise<Store> {
  if (replay === 'memory') return createMemoryReplayStore()
  if (typeof replay === 'string') return openReplayStore({ url: replay })
  const { url, ca, timeoutMs, maxInFlight } = replay
  return openReplayStore({ url, caFile: ca, timeoutMs, maxInFlight })
}

function openProofs(dpop: NonNullable<Tokens['dpop']>, replay: ReplayStore): ProofCheck {
  const { externalUrl, iatWindowSeconds, algorithms, nonce } = dpop
  return createProofCheck({
    externalUrls: typeof externalUrl === 'string' ? [externalUrl] : externalUrl,
    iatWindowSeconds,
    algorithms,
    replay,
    ...(nonce && { nonces: createNonces(nonce) }),
  })
}
