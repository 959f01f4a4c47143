import { Command, Option } from 'commander'
import { openAudit } from '#audit/audit.ts'
import { SluiceError } from '#base/errors.ts'
import { createCanonicalStage } from '#canonical/canonical.ts'
import { type Config, loadConfig } from '#config/config.ts'
import { openConsole } from '#console/console.ts'
import { createChallenger } from '#decision/challenger.ts'
import { createResourceGate } from '#decision/gate.ts'
import { createPipeline } from '#decision/pipeline.ts'
import type { Stage } from '#decision/stage.ts'
import { startEnvoyServer } from '#envoy/envoy.ts'
import { createIdentityStage, tenantFault } from '#identity/identity.ts'
import { createInferenceStage, tensorSummaries } from '#inference/inference.ts'
import { createTenantCeiling, openPolicy } from '#policy/policy.ts'
import { createResidencyStage } from '#residency/residency.ts'
import { noResources, openResources } from '#resources/resources.ts'
import { type ReadinessCheck, startProbes } from '#telemetry/probes.ts'
import { createLogger, createMetrics, type Logger } from '#telemetry/telemetry.ts'
import { createTrafficStage } from '#traffic/traffic.ts'
import { openAgentIdentity } from './agent-identity.ts'
import { openAgentOverload } from './agent-overload.ts'
import { openAgentPosture } from './agent-posture.ts'
import { leaseMsOf, openAgentQuotas, uncounted } from './agent-quotas.ts'
import { openAgentRateLimits } from './agent-rate-limits.ts'
import { collected } from './collected.ts'
import { orFail } from './fail.ts'
import { createFailureLog } from './failure-log.ts'
import { isOpaStart, type OpaExtras, type OpaOptions, startFromOpa } from './opa-start.ts'
import { openPolicyLogs } from './policy-logs.ts'
import { policyOptions, switchesOf, warnWhenStale } from './policy-options.ts'
import { firstSignal } from './signals.ts'
import { demandPrivateFolder } from './socket-folder.ts'
import { openTokens } from './token-rules.ts'

export function agentCommand(): Command {
  return new Command('agent')
    .description('Decide for the Envoy in front of one model server, until SIGTERM.')
    .option('-c, --config <file>', 'the configuration, sluice.yaml')
    .option('--opa-config <file>', "instead: OPA's own configuration, as opa-envoy-plugin takes it")
    .option('--set <key=value>', "lay a value over OPA's configuration; may be repeated", collected)
    .option('--set-file <key=file>', 'the same, the value being what a file says', collected)
    .option('-b, --bundle', 'the paths are bundles or folders laid out like one')
    .option('-w, --watch', 'look for changes of the paths')
    .option('--ignore <glob>', 'names of files and folders that are passed over', collected)
    .option('-a, --addr <address>', "accepted for OPA's sake: its REST API is not served")
    .option('--diagnostic-addr <address>', 'where /health, /livez, /readyz and /metrics are')
    .option('--profile <profile>', 'standard or production')
    .addOption(
      new Option('--policy-isolation <mode>', 'goes before policy.isolation').choices(['none', 'worker']),
    )
    .addOption(
      new Option('--policy-engine <engine>', 'goes before policy.engine').choices(['wasm', 'compiled']),
    )
    .option('--log-level <level>', 'debug, info, warn or error')
    .argument('[paths...]', 'Rego and data, or bundles, as opa run takes them')
    .action(
      orFail(async (paths: readonly string[], options: AgentOptions) => {
        const start = withPolicyOptions(chosenStart(paths, options), options)
        const log = createLogger(start.config.log.level)
        for (const warning of start.warnings) log.warn(warning)
        await using agent = await startAgent(start.config, log, start)
        log.info({ agent: start.config.listen.agent, probesPort: agent.probesPort }, 'agent is listening')
        const signal = await firstSignal(['SIGTERM', 'SIGINT'])
        log.info({ signal }, 'agent is stopping')
      }),
    )
}

interface AgentOptions extends OpaOptions {
  readonly config?: string
  readonly policyIsolation?: 'none' | 'worker'
  readonly policyEngine?: 'wasm' | 'compiled'
}

type Start = ReturnType<typeof startFromOpa>

/** @throws SluiceError where the two do not go together. */
function withPolicyOptions(start: Start, { policyIsolation, policyEngine }: AgentOptions): Start {
  const { policy } = start.config
  if (policy === undefined) return start
  const isolation = policyIsolation ?? policy.isolation
  const engine = policyEngine ?? policy.engine
  if (engine === 'compiled' && isolation === 'worker')
    throw new SluiceError({
      code: 'option_invalid',
      place: policyIsolation === undefined ? '--policy-engine' : '--policy-isolation',
      found: 'the compiled engine and isolation in a worker',
      expected: 'one of them: the compiled engine stops what does not end by itself',
    })
  return { ...start, config: { ...start.config, policy: { ...policy, isolation, engine } } }
}

/** By our own configuration or by OPA's, never by both. */
function chosenStart(paths: readonly string[], options: AgentOptions): Start {
  const isOpa = isOpaStart(paths, options)
  if ((options.config !== undefined) === isOpa)
    throw new SluiceError({
      code: 'option_invalid',
      place: 'sluice agent',
      found: isOpa ? "both --config and options of OPA's" : 'no configuration',
      expected: '--config sluice.yaml, or --opa-config with what belongs to it',
    })
  return options.config === undefined
    ? startFromOpa(paths, options, process.env)
    : { config: loadConfig(options.config), warnings: [] }
}

/**
 * Puts the agent together: what is bound last is closed first. Resolves when Envoy can be answered; it may still say
 * "not ready" on `/readyz` and refuse everything until policy and resources are loaded.
 */
async function startAgent(
  config: Config,
  log: Logger,
  { loose }: OpaExtras = {},
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
    opening.use(
      openResources({
        dir: config.resources.dir,
        tenantFault,
        leaseMs: leaseMsOf(config),
        onLoad: loaded('resources'),
      }),
    )
  if (resources) {
    const problem = () => (resources.isReady() ? undefined : (resources.lastError() ?? 'not loaded'))
    // Not a reason to take traffic from every agent at once, when a policy comes before its configuration does.
    const remark = () => uncounted(config, resources.current())
    checks.push({ name: 'resources', problem, warning: () => resources.lastError(), remark })
    const first = remark()
    if (first !== undefined) log.error(first)
  }

  const identity = await openAgentIdentity({ config, log, metrics })
  const identities = identity && opening.use(identity.source)
  if (identity) checks.push(identity.check)

  const tokens =
    config.identity &&
    (await openTokens(config, {
      state: identities && (() => identities.current()),
      onEvent: (event) => {
        metrics.reloaded('token_keys', event.kind === 'keys_loaded')
        if (event.kind === 'keys_failed')
          log.error(event, 'keys of an issuer could not be fetched; the last good ones stay')
        else if (event.isChanged) log.info(event, 'keys of an issuer in force')
      },
    }))
  if (tokens) {
    opening.use(tokens)
    checks.push(...tokens.checks)
  }

  const logs = openPolicyLogs({ config: config.policy?.opa, log, metrics })
  const policy =
    config.policy &&
    opening.use(
      await openPolicy({
        ...policyOptions(config.policy, config.profile, loose),
        ...(config.policy.response && {
          answer: {
            decision: config.policy.response.decision ?? config.policy.decision,
            body: config.policy.response.body,
            tensorsOf: tensorSummaries,
          },
        }),
        ...(config.policy.candidate && {
          candidate: {
            source: { file: config.policy.candidate.bundle },
            samplePpm: Math.round(config.policy.candidate.samplePercent * 10_000),
            onLoad: loaded('policy_candidate'),
            onOutcome: metrics.candidateCompared,
          },
        }),
        ...(config.policy.isolation === 'worker' && {
          isolation: {
            deadlineMs: config.policy.evaluationDeadlineMs,
            onEnded: (why: string) => log.error({ why }, 'the thread of the policy was ended'),
          },
        }),
        switches: await switchesOf(config.policy),
        onShadow: metrics.shadowed,
        onLoad: (load, bundles) => {
          loaded('policy')(load)
          logs.loaded(bundles)
        },
        ...(logs.sink && { sink: logs.sink }),
        ...(logs.decisions && { logDecisions: logs.decisions }),
      }),
    )
  if (config.policy?.dryRun === true) log.warn('policy.dryRun is on: what policy denies goes on')
  // Closed before policy: it is asked what of the last decisions may be logged.
  opening.use(logs)
  if (policy) {
    const isStaleRefused = config.policy?.onStale === 'refuse'
    const problem = () => {
      if (!policy.isReady()) return policy.status().lastError ?? 'not loaded'
      const staleFor = isStaleRefused ? policy.staleForSeconds() : undefined
      return staleFor === undefined ? undefined : `not confirmed for ${Math.floor(staleFor)} s`
    }
    opening.use(warnWhenStale(policy, log))
    checks.push({ name: 'policy', problem, warning: () => policy.status().lastError })
  }

  const quotas = await openAgentQuotas({
    config,
    log,
    metrics,
    resources: () => resources?.current() ?? noResources,
  })
  if (quotas) {
    opening.use(quotas)
    checks.push(quotas.check)
  }

  const rateLimits = await openAgentRateLimits({ config, metrics, quotas, onLoad: loaded('rate_limits') })
  if (rateLimits) {
    opening.use(rateLimits)
    checks.push(rateLimits.check)
  }

  // Only who serves an identity pays for the messages of the protocol: 6 MB.
  const discovery = identities && (await import('#envoy/sds/sds.ts'))
  const secrets =
    identities && discovery && opening.use(discovery.openSecretDiscovery({ source: identities, log }))
  if (secrets) {
    demandPrivateFolder(config.listen.agent)
    checks.push({ name: 'sds', problem: secrets.problem, warning: secrets.warning })
    metrics.secrets(secrets.counters)
  }

  const overload = openAgentOverload({ config, log, metrics })
  if (overload) opening.use(overload)

  const recorder = config.audit && opening.use(openAudit({ dir: config.audit.dir }))

  // The order of the decision. Cheap refusals first; the version is chosen before policy, so that policy judges the one
  // that will answer; nothing is charged for what an earlier stage refuses.
  const stages: Stage[] = [
    resources && createResourceGate(resources),
    createCanonicalStage({
      isStrict: config.identity !== undefined,
      tenantHeaders: config.identity?.tenantHeaders ?? [],
    }),
    config.identity &&
      createIdentityStage({
        ...config.identity,
        ...(identities && { state: () => identities.current() }),
        ...(tokens && { tokens: tokens.rules }),
      }),
    createInferenceStage(),
    config.residency && createResidencyStage(config.residency),
    config.traffic && createTrafficStage(),
    createTenantCeiling(),
    policy?.stage,
    resources && quotas?.stage,
    overload?.stage,
  ].filter((stage) => stage !== undefined)

  const logFailure = createFailureLog(log)
  const pipeline = createPipeline({
    stages,
    resources: () => resources?.current() ?? noResources,
    ...(recorder && { recorder }),
    observer: (x, verdict, durationUs) => {
      metrics.observe(x, verdict, durationUs)
      logFailure(x, verdict)
    },
    deadlineMs: config.decision.deadlineMs,
    challenger: createChallenger(tokens?.challenges),
  })

  const posture = await openAgentPosture({ config, log, metrics })
  if (posture) opening.use(posture)
  let isListening = false
  const listener = {
    name: 'listener',
    problem: () => (isListening ? undefined : 'nobody listens to Envoy yet'),
  }
  const probed = [listener, ...checks, identity?.ownCheck, posture?.check].filter(
    (each) => each !== undefined,
  )
  const probes = opening.use(await startProbes({ address: config.listen.probes, metrics, checks: probed }))
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
      ...(secrets && { sds: secrets }),
      log,
    }),
  )
  if (config.listen.admin !== undefined)
    opening.use(await openConsole({ socket: config.listen.admin, routes: quotas?.routes ?? [] }))
  metrics.transport(server.counters)
  isListening = true
  opening.defer(() => {
    probes.drain()
    secrets?.drain()
  })

  const owned = opening.move()
  return { probesPort: probes.port, [Symbol.asyncDispose]: () => owned.disposeAsync() }
}
