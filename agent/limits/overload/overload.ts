import { type Clock, systemClock } from '#base/clock.ts'
import { type After, keepingAfter } from '#base/timers.ts'
import type { Exchange } from '#decision/exchange.ts'
import type { Stage } from '#decision/stage.ts'
import { computingVerbs } from '#decision/verbs.ts'
import { ALLOW, allowWith, type Mutations, type Refusal, type Verdict } from '#decision/verdict.ts'
import { Call, type Turn } from './call.ts'
import { actualCost, expectedCost } from './cost.ts'
import type { Gate } from './gate.ts'
import { Gates } from './gates.ts'
import { grpcTimeoutMs } from './grpc-timeout.ts'
import { LoadReadings } from './load/load-readings.ts'
import { type Scrape, type ScrapeOptions, startScraping } from './load/scrape.ts'
import { loadReport, loadReportHeader, steeringHeaders } from './load-report.ts'
import type { OverloadEvent, OverloadReadings, ShedReason } from './observer.ts'
import { isFailure } from './outcome.ts'
import { modelLookup, type OverloadSettings, tenantLookup } from './settings.ts'
import { Tally } from './tally.ts'
import type { Usage } from './usage/usage-history.ts'
import { UsageWatch } from './usage/usage-watch.ts'

export interface Overload extends AsyncDisposable {
  readonly stage: Stage
  /** For metrics; computed when asked. */
  readings(): OverloadReadings
}

export interface OverloadOptions {
  readonly settings: OverloadSettings
  /** Must not throw. */
  readonly onEvent: (event: OverloadEvent) => void
  readonly clock?: Clock
  readonly after?: After
  /** In place of the network and of real time. */
  readonly scraping?: Pick<ScrapeOptions, 'get' | 'pause'>
}

/** What a weight is divided by while usage is out of the ordinary. */
const slowedBy = 4

/**
 * Keeps a model server from more than it can do: as many calls at once as it works on without letting them queue, the others
 * waiting here, where each tenant has its share; none at all while it fails. Acts on calls whose end is seen (`ext_proc`); of
 * those only admitted (`ext_authz`) it looks at usage alone.
 */
export function openOverload(options: OverloadOptions): Overload {
  const { settings, onEvent, clock = systemClock, after = keepingAfter } = options
  const { anomaly, metrics, reportLoad } = settings
  const settingsOf = modelLookup(settings.models)
  const standingOf = tenantLookup(settings.tenants)
  const tally = new Tally()
  const gates = new Gates({ tally, after }, (named, state) => onEvent({ kind: 'breaker', ...named, state }))
  const watch =
    anomaly &&
    new UsageWatch(anomaly, (tenant, isUnusual) =>
      onEvent({ kind: 'usage', tenant, isUnusual, isAlert: anomaly.action !== 'shadow' }),
    )
  const calls = new WeakMap<Exchange, Call>()

  function request(x: Exchange): Verdict | Promise<Verdict> {
    if (x.call === undefined || !computingVerbs.has(x.call.verb)) return ALLOW
    const usage = usageOf(x)
    if (usage === 'beyond' && anomaly?.action === 'deny') return unusual(x)
    const { model = '' } = x.call
    const forModel = x.request.api === 'ext_proc' ? settingsOf(model) : undefined
    if (forModel === undefined) return allowed(x, usage)
    const gate = gates.of(model, x.route?.version ?? x.call.version ?? '', forModel)
    if (gate === undefined) return { kind: 'deny', reason: 'overloaded', detail: 'too many models at once' }
    const nowUs = clock.monotonicUs()
    const call = callOf(x, gate, usage, nowUs)
    const turn = gate.enter(call, nowUs)
    if (turn !== 'run' && turn !== 'wait') return refused(gate, turn)
    calls.set(x, call)
    return turn === 'run' ? allowed(x, usage) : itsTurn(x, call, usage)
  }

  function callOf(x: Exchange, gate: Gate, usage: Usage, nowUs: number): Call {
    const tenant = x.tenant?.name ?? ''
    const { weight, band } = standingOf(tenant)
    const isSlowed = usage !== 'usual' && (anomaly?.action === 'slow' || anomaly?.action === 'deny')
    return new Call(gate, {
      tenant,
      band,
      cost: expectedCost(x, gate.settings.cost),
      weight: isSlowed ? weight / slowedBy : weight,
      atMostMs: patienceMs(x, gate.settings.queue.waitMs, nowUs),
    })
  }

  /** Waits until it may run, or is refused. */
  function itsTurn(x: Exchange, call: Call, usage: Usage): Promise<Verdict> {
    return new Promise((resolve) => {
      const ended = (turn: Turn) => {
        x.waiting = undefined
        resolve(turn === 'run' ? allowed(x, usage) : refused(call.gate, turn))
      }
      call.resolve = ended
      x.waiting = call
      x.whenWaiting?.(call)
    })
  }

  function refused(gate: Gate, reason: Exclude<Turn, 'run'>): Refusal {
    return { kind: 'deny', reason, retryAfterSeconds: gate.retryAfterSeconds(clock.monotonicUs()) }
  }

  function usageOf(x: Exchange): Usage {
    if (watch === undefined || anomaly === undefined || x.tenant === undefined) return 'usual'
    return watch.take(x.tenant.name, expectedCost(x, anomaly.cost), clock.nowMs())
  }

  function unusual(x: Exchange): Refusal {
    const reason: ShedReason = 'abnormal_usage'
    const tenant = x.tenant?.name ?? ''
    tally.shed(standingOf(tenant).band, reason)
    return { kind: 'deny', reason, retryAfterSeconds: watch?.secondsLeft(tenant, clock.nowMs()) ?? 1 }
  }

  function allowed({ request: { headers } }: Exchange, usage: Usage): Verdict {
    const isMarked = usage !== 'usual' && anomaly?.action !== 'shadow'
    const removeHeaders = steeringHeaders.filter((name) => headers.has(name))
    if (!isMarked && removeHeaders.length === 0) return ALLOW
    const changes: Mutations = {
      ...(isMarked && { setHeaders: [['x-sluice-usage', 'abnormal']] }),
      ...(removeHeaders.length > 0 && { removeHeaders }),
    }
    return allowWith(changes)
  }

  function response(x: Exchange): Verdict {
    const call = calls.get(x)
    if (call === undefined) return ALLOW
    if (x.served !== undefined) call.gate.told(call, isFailure(x.served), clock.monotonicUs())
    if (!reportLoad) return ALLOW
    return allowWith({
      removeResponseHeaders: [loadReportHeader],
      addResponseHeaders: [loadReport(call.gate.utilization())],
    })
  }

  /** @param actual what was taken of what was thought; asked only where there is something to give back. */
  function leave(x: Exchange, actual: (call: Call) => number | undefined): void {
    const call = calls.get(x)
    if (call === undefined) return
    calls.delete(x)
    const nowUs = clock.monotonicUs()
    if (x.served !== undefined) call.gate.told(call, isFailure(x.served), nowUs)
    call.gate.leave(call, actual(call), nowUs)
  }

  const stage: Stage = {
    name: 'overload',
    failureReason: 'limits_failed',
    request,
    response,
    revoke: (x) => leave(x, () => 0),
    end: (x) => leave(x, (call) => actualCost(x, call.gate.settings.cost)),
  }

  const readings = new LoadReadings()
  let metricsProblem: string | undefined
  let isRead: boolean | undefined
  const onScrape = (scrape: Scrape) => {
    const before = isRead
    isRead = scrape.kind === 'read'
    if (scrape.kind === 'read') readings.take(scrape.series)
    metricsProblem = scrape.kind === 'failed' ? scrape.problem : undefined
    if (isRead !== before)
      onEvent({ kind: 'metrics', ...(metricsProblem !== undefined && { problem: metricsProblem }) })
    const nowUs = clock.monotonicUs()
    for (const gate of gates.all())
      gate.measured(isRead ? readings.of(gate.model, gate.version) : undefined, nowUs)
  }
  const scraping = metrics && startScraping({ ...options.scraping, settings: metrics, onScrape })

  return {
    stage,
    readings: () => ({
      models: [...gates.all()].map((gate) => gate.load()),
      counts: tally.counts(),
      unusual: watch?.unusual(clock.nowMs()) ?? [],
      metricsProblem,
    }),
    [Symbol.asyncDispose]: async () => {
      await scraping?.[Symbol.asyncDispose]()
      for (const gate of gates.all()) gate.refuseAll('overloaded')
    },
  }
}

/** How long a call may wait: as configured, and no longer than its client does. */
function patienceMs(x: Exchange, waitMs: number, nowUs: number): number {
  if (x.request.client !== 'grpc') return waitMs
  const timeoutMs = grpcTimeoutMs(x.request.headers.single('grpc-timeout') ?? '')
  if (timeoutMs === undefined) return waitMs
  return Math.min(waitMs, timeoutMs - (nowUs - x.startedUs) / 1000)
}
