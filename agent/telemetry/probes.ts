import type { IncomingMessage, ServerResponse } from 'node:http'
import { splitHostPort } from '#base/address.ts'
import { SluiceError } from '#base/errors.ts'
import { createServer } from '#base/http.ts'
import type { Metrics } from './telemetry.ts'

/** One thing that must be true before traffic may come. */
export interface ReadinessCheck {
  readonly name: string
  /** `undefined` when all is well, otherwise what is missing, for a person. */
  problem(): string | undefined
  /** What went wrong since, while what was good before stays in force. */
  readonly warning?: () => string | undefined
  /** What a person should know although nothing is held up by it. */
  readonly remark?: () => string | undefined
}

export interface Probes extends AsyncDisposable {
  readonly port: number
  /** From now on `/readyz` says no, whatever the checks say: the agent is on its way out. */
  drain(): void
}

/**
 * Serves `/livez`, `/readyz` (`?verbose` lists the checks) and `/metrics`, as Kubernetes' own components do, and `/health`
 * for who asked OPA.
 *
 * @throws SluiceError when the address cannot be bound.
 */
export async function startProbes(options: {
  readonly address: string
  readonly metrics: Metrics
  readonly checks: readonly ReadinessCheck[]
}): Promise<Probes> {
  let isDraining = false
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const [path, query] = (request.url ?? '/').split('?', 2)
    if (request.method !== 'GET' && request.method !== 'HEAD')
      return reply(response, 405, 'method not allowed\n')
    if (path === '/livez') return reply(response, 200, 'ok\n')
    if (path === '/metrics')
      return reply(response, 200, await options.metrics.render(), 'text/plain; version=0.0.4')
    if (path === '/health') return health(response, options.checks, query)
    if (path !== '/readyz') return reply(response, 404, 'not found\n')
    const lines: Line[] = options.checks.map((check) => ({
      name: check.name,
      problem: check.problem(),
      warning: check.warning?.(),
      remark: check.remark?.(),
    }))
    if (isDraining) lines.push({ name: 'drain', problem: 'shutting down' })
    const isReady = lines.every((line) => line.problem === undefined)
    const text = isReady && query === undefined ? 'ok\n' : lines.map(textOf).join('')
    return reply(response, isReady ? 200 : 503, text)
  }
  const server = createServer((request, response) => {
    answer(request, response).catch((cause: unknown) => {
      response.destroy(cause instanceof Error ? cause : undefined)
    })
  })
  const { host, port } = splitHostPort(options.address)
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) =>
      reject(
        new SluiceError({
          code: 'listen_failed',
          place: `listen.probes ${options.address}`,
          found: cause.message,
          expected: 'an address that can be bound',
          cause,
        }),
      ),
    )
    server.listen(port, host, resolve)
  })
  const bound = server.address()
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : port,
    drain: () => {
      isDraining = true
    },
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

interface Line {
  readonly name: string
  readonly problem: string | undefined
  readonly warning?: string | undefined
  readonly remark?: string | undefined
}

function textOf({ name, problem, warning, remark }: Line): string {
  if (problem !== undefined) return `[-]${name}: ${problem}\n`
  const lastGood = warning === undefined ? '' : `, the last good one: ${warning}`
  return `[+]${name} ok${lastGood}${remark === undefined ? '' : `, but ${remark}`}\n`
}

/** As OPA has it: alive is enough, unless bundles or plugins are asked for. */
function health(
  response: ServerResponse,
  checks: readonly ReadinessCheck[],
  query: string | undefined,
): void {
  const isAsked = /(^|&)(bundles|bundle|plugins)(=(true)?)?(&|$)/.test(query ?? '')
  const problem = isAsked
    ? checks.map((check) => check.problem()).find((each) => each !== undefined)
    : undefined
  const body = problem === undefined ? {} : { error: problem }
  reply(response, problem === undefined ? 200 : 500, `${JSON.stringify(body)}\n`, 'application/json')
}

function reply(
  response: ServerResponse,
  status: number,
  body: string,
  type = 'text/plain; charset=utf-8',
): void {
  response.writeHead(status, { 'content-type': type, 'cache-control': 'no-store' })
  response.end(body)
}
