import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { openAudit } from '#audit/audit.ts'
import { type Config, loadConfig } from '#config/config.ts'
import { createResourceGate } from '#decision/gate.ts'
import { createPipeline } from '#decision/pipeline.ts'
import type { Stage } from '#decision/stage.ts'
import { startEnvoyServer } from '#envoy/envoy.ts'
import { createIdentityStage, tenantFault } from '#identity/identity.ts'
import { createInferenceStage } from '#inference/inference.ts'
import { createLimitsStage } from '#limits/limits.ts'
import { openRateLimits } from '#limits/rls/rls.ts'
import { createTenantCeiling, type DownloadConfig, openPolicy, type Verification } from '#policy/policy.ts'
import { createResidencyStage } from '#residency/residency.ts'
import { noResources, openResources } from '#resources/resources.ts'
import { type ReadinessCheck, startProbes } from '#telemetry/probes.ts'
import { createLogger, createMetrics, type Logger } from '#telemetry/telemetry.ts'
import { createTrafficStage } from '#traffic/traffic.ts'
import { orFail } from './fail.ts'

export function agentCommand(): Command {
  return new Command('agent')
    .description('Decide for the Envoy in front of one model server, until SIGTERM.')
    .requiredOption('-c, --config <file>', 'the configuration, sluice.yaml')
    .action(
      orFail(async (options: { readonly config: string }) => {
        const config = loadConfig(options.config)
        const log = createLogger(config.log.level)
        await using agent = await startAgent(config, log)
        log.info({ agent: config.listen.agent, probesPort: agent.probesPort }, 'agent is listening')
        const signal = await firstSignal(['SIGTERM', 'SIGINT'])
        log.info({ signal }, 'agent is stopping')
      }),
    )
}

/**
 * Puts the agent together: what is bound last is closed first. Resolves when Envoy can be answered; it may still say
 * "not ready" on `/readyz` and refuse everything until policy and resources are loaded.
 */
async function startAgent(
  config: Config,
  log: Logger,
): Promise<AsyncDisposable & { readonly probesPort: number }> {
  await using opening = new AsyncDisposableStack()
  const metrics = createMetrics()
  const checks: ReadinessCheck[] = []

  const loaded = (what: string) => (load: { readonly problem?: string }) => {
    metrics.reloaded(what, load.problem === undefined)
    if (load.problem === undefined) log.info(load, `${what} in force`)
    else log.error(load, `${what} refused; the last good state stays`)
  }

  const resources =
    config.resources &&
    opening.use(openResources({ dir: config.resources.dir, tenantFault, onLoad: loaded('resources') }))
  if (resources) {
    const problem = () => (resources.isReady() ? undefined : (resources.lastError() ?? 'not loaded'))
    checks.push({ name: 'resources', problem })
  }

  const policy =
    config.policy &&
    opening.use(
      await openPolicy({
        source: sourceOf(config.policy),
        decision: config.policy.decision,
        engine: config.policy.engine,
        ...(config.policy.verification && { verification: verificationOf(config.policy.verification) }),
        onLoad: loaded('policy'),
      }),
    )
  if (policy) {
    const problem = () => (policy.isReady() ? undefined : (policy.status().lastError ?? 'not loaded'))
    checks.push({ name: 'policy', problem })
  }

  const rateLimits =
    config.rateLimit &&
    opening.use(openRateLimits({ files: config.rateLimit.config, onLoad: loaded('rate_limits') }))
  if (rateLimits) {
    const problem = () => (rateLimits.isReady() ? undefined : (rateLimits.lastError() ?? 'not loaded'))
    checks.push({ name: 'rate_limits', problem })
  }

  const recorder = config.audit && opening.use(openAudit({ dir: config.audit.dir }))

  // The order of the decision. Cheap refusals first; the version is chosen before policy, so that policy judges the one
  // that will answer; nothing is charged for what an earlier stage refuses.
  const stages: Stage[] = [
    resources && createResourceGate(resources),
    config.identity && createIdentityStage({ trustDomains: config.identity.trustDomains }),
    createInferenceStage({ isPathStrict: config.identity !== undefined }),
    config.residency && createResidencyStage(config.residency),
    config.traffic && createTrafficStage(),
    createTenantCeiling(),
    policy?.stage,
    config.limits && createLimitsStage(),
  ].filter((stage) => stage !== undefined)

  const pipeline = createPipeline({
    stages,
    resources: () => resources?.current() ?? noResources,
    ...(recorder && { recorder }),
    observer: (x, verdict, durationUs) => {
      metrics.observe(x, verdict, durationUs)
      if (verdict.kind === 'error')
        log.error({ id: x.id, reason: verdict.reason, err: verdict.cause }, 'decision failed')
    },
    deadlineMs: config.decision.deadlineMs,
  })

  const probes = opening.use(await startProbes({ address: config.listen.probes, metrics, checks }))
  const server = opening.use(
    await startEnvoyServer({
      listen: config.listen.agent,
      transport: config.listen.transport,
      pipeline,
      isReady: () => checks.every((check) => check.problem() === undefined),
      firstMessageTimeoutMs: config.decision.firstMessageTimeoutMs,
      maxMessageBytes: config.decision.maxMessageBytes,
      ...(rateLimits && {
        rateLimit: { limiter: rateLimits.limiter, observe: metrics.rateLimited },
      }),
      log,
    }),
  )
  metrics.transport(server.counters)
  opening.defer(() => probes.drain())

  const owned = opening.move()
  return { probesPort: probes.port, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}

function sourceOf({
  bundle,
  download,
}: NonNullable<Config['policy']>): { readonly file: string } | { readonly download: DownloadConfig } {
  if (download === undefined) return { file: bundle ?? '' }
  const { url, tokenFile, caFile, certificateFile, privateKeyFile, ...rest } = download
  const text = (path: string) => readFileSync(path, 'utf8')
  return {
    download: {
      url,
      minDelayMs: rest.minDelaySeconds * 1000,
      maxDelayMs: rest.maxDelaySeconds * 1000,
      longPollingSeconds: rest.longPollingSeconds,
      sizeLimitBytes: rest.sizeLimitBytes,
      persist: rest.persist,
      ...(tokenFile !== undefined && { authorization: () => `Bearer ${text(tokenFile).trim()}` }),
      tls: () => ({
        ...(caFile !== undefined && { ca: text(caFile) }),
        ...(certificateFile !== undefined && { cert: text(certificateFile) }),
        ...(privateKeyFile !== undefined && { key: text(privateKeyFile) }),
      }),
    },
  }
}

/** Reads the keys when a bundle is to be verified: they are replaced together with what they sign. */
function verificationOf({
  keys,
  ...rest
}: NonNullable<NonNullable<Config['policy']>['verification']>): () => Verification {
  return () => ({
    ...rest,
    keys: new Map(
      Object.entries(keys).map(([id, { file, ...key }]) => [id, { ...key, key: readFileSync(file, 'utf8') }]),
    ),
  })
}

async function firstSignal(signals: readonly NodeJS.Signals[]): Promise<string> {
  const listening = new AbortController()
  const first = await Promise.race(
    signals.map((signal) => once(process, signal, { signal: listening.signal }).then(() => signal)),
  )
  listening.abort()
  return first
}
