import { readFileSync } from 'node:fs'
import { type Clock, systemClock } from '#base/clock.ts'
import type { VerifyingKey } from '#crypto/jose/jwk.ts'
import { createIssuer } from './issuer.ts'
import { createFetch } from './jwks/fetch.ts'
import { FileKeys } from './jwks/file-keys.ts'
import type { KeysStatus } from './jwks/held-keys.ts'
import { RemoteKeys } from './jwks/remote-keys.ts'
import { createKeySource, type FetchDocument } from './jwks/source.ts'
import type { After } from './jwks/timer.ts'
import type { IssuerConfig, IssuerKeys, JwtAuthorities, TokenEvent, TokenVerdict } from './types.ts'
import { type BudgetOptions, VerificationBudget } from './verification-budget.ts'
import { VerifiedTokens } from './verified-tokens.ts'
import { createVerify, type VerifyCounts } from './verify.ts'

export type { KeysStatus } from './jwks/held-keys.ts'
export type { IssuerConfig, JwtAuthorities, TokenEvent, TokenVerdict } from './types.ts'

export interface TokenStatus {
  readonly issuers: readonly KeysStatus[]
  readonly counts: Readonly<VerifyCounts>
  /** Verified tokens that are remembered. */
  readonly remembered: number
}

export interface TokenVerifier extends AsyncDisposable {
  /**
   * Whether a JWT is good, and what it says. Waits for nothing: what is not known yet is refused. `peer` is who sent it; one
   * that sends too many wrong signatures is refused without a look.
   */
  verify(text: string, peer: string): TokenVerdict
  /** The keys of an issuer that are in force; undefined where there are none to rely on. */
  keysOf(issuer: string): readonly VerifyingKey[] | undefined
  /** What is missing before tokens of every issuer can be verified; undefined once there were keys of each. */
  problem(): string | undefined
  /** What went wrong since, while the last good keys stay in force. */
  warning(): string | undefined
  status(): TokenStatus
}

export interface TokenVerifierOptions {
  readonly issuers: readonly IssuerConfig[]
  /** Of the issuers whose profile is jwt-svid. */
  readonly jwtAuthorities?: JwtAuthorities | undefined
  readonly clock?: Clock
  readonly onEvent?: (event: TokenEvent) => void
  readonly budget?: BudgetOptions
  readonly remember?: { readonly maxEntries: number; readonly ttlSeconds: number }
  /** For tests: instead of the network, and of waiting. */
  readonly fetch?: FetchDocument
  readonly after?: After
  readonly random?: () => number
}

/** Some 8 ms of CPU a second and peer, spent on junk. */
const defaultBudget: BudgetOptions = { perSecond: 50, burst: 100 }
const defaultRemember = { maxEntries: 10_000, ttlSeconds: 60 }

interface Keys extends IssuerKeys {
  status(): KeysStatus
}

/** Begins at once to fetch the keys of every issuer; until they are there its tokens are refused. */
export function createTokenVerifier(options: TokenVerifierOptions): TokenVerifier {
  const { issuers, clock = systemClock } = options
  const owned = new AsyncDisposableStack()
  const keysOf = issuers.map((config) => {
    const keys = createKeys(config, options, clock)
    if (Symbol.asyncDispose in keys || Symbol.dispose in keys) owned.use(keys as Disposable)
    return { config, keys }
  })
  const remembered = new VerifiedTokens(options.remember ?? defaultRemember)
  const { verify, counts } = createVerify({
    issuers: new Map(keysOf.map(({ config, keys }) => [config.issuer, createIssuer(config, keys)])),
    remembered,
    budget: new VerificationBudget(options.budget ?? defaultBudget),
    clock,
  })
  const statuses = () => keysOf.map(({ keys }) => keys.status())
  return {
    verify,
    keysOf: (name) => keysOf.find(({ config }) => config.issuer === name)?.keys.current(clock.monotonicUs()),
    problem: () => {
      const missing = statuses().find(({ keys }) => keys === undefined)
      return (
        missing && `no keys of ${missing.issuer} yet: ${missing.lastError ?? `waiting for ${missing.place}`}`
      )
    },
    warning: () => statuses().find(({ lastError }) => lastError !== undefined)?.lastError,
    status: () => ({ issuers: statuses(), counts: { ...counts }, remembered: remembered.size }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function createKeys(config: IssuerConfig, options: TokenVerifierOptions, clock: Clock): Keys {
  const { issuer, jwks } = config
  const onEvent = options.onEvent ?? (() => undefined)
  if (jwks === undefined) return authorityKeys(issuer, options.jwtAuthorities)
  if ('file' in jwks) return new FileKeys({ issuer, path: jwks.file, clock, onEvent })
  const fetch = options.fetch ?? createFetch(fetchOptions(config))
  return new RemoteKeys({
    issuer,
    source: createKeySource(issuer, jwks, fetch),
    refreshSeconds: config.refreshSeconds,
    cooldownSeconds: config.cooldownSeconds,
    staleSeconds: config.staleSeconds,
    persist: config.persist,
    clock,
    onEvent,
    ...(options.after && { after: options.after }),
    ...(options.random && { random: options.random }),
  })
}

function fetchOptions({ issuer, jwks, allowedHosts, allowPrivateAddresses, ca }: IssuerConfig) {
  const configured = jwks !== undefined && 'url' in jwks ? jwks.url : issuer
  return {
    allowedHosts: new Set([...allowedHosts, new URL(configured).host]),
    allowPrivateAddresses,
    // Read for each fetch: it is replaced while we run.
    ...(ca !== undefined && { ca: () => readFileSync(ca, 'utf8') }),
  }
}

const spiffePrefix = 'spiffe://'
const noAuthorities: JwtAuthorities = { get: () => undefined }

/** The keys of a trust domain, which its bundle keeps fresh. */
function authorityKeys(issuer: string, authorities: JwtAuthorities = noAuthorities): Keys {
  const trustDomain = issuer.slice(spiffePrefix.length)
  const current = (): readonly VerifyingKey[] | undefined => authorities.get(trustDomain)
  return {
    current,
    isStale: () => false,
    // The bundle is pushed, or fetched by its own rules.
    mayFetch: () => false,
    missed: () => undefined,
    status: () => {
      const keys = current()?.length
      return {
        issuer,
        place: `the bundle of ${trustDomain}`,
        keys,
        skipped: [],
        confirmedAtMs: undefined,
        isStale: false,
        lastError: keys === 0 ? `the bundle of ${trustDomain}: no key to check signatures with` : undefined,
      }
    },
  }
}
