import { readFileSync } from 'node:fs'
import { text as textOf } from 'node:stream/consumers'
import { Command } from 'commander'
import { messageOf, SluiceError } from '#base/errors.ts'
import { type Config, loadConfig } from '#config/config.ts'
import type { Exchange, RequestFacts } from '#decision/exchange.ts'
import { RequestHeaders } from '#decision/request-headers.ts'
import type { Verdict } from '#decision/verdict.ts'
import { createIdentityStage, tenantFault } from '#identity/identity.ts'
import { readLeafPem } from '#identity/inspect/inspect.ts'
import { noResources, openResources } from '#resources/resources.ts'
import { orFail } from '../fail.ts'
import { openTokens } from '../token-rules.ts'
import { readWaitMs } from './seconds.ts'
import { firstState, openSource } from './source.ts'

interface ExplainOptions {
  readonly config: string
  readonly certificate: string
  readonly token?: string
  readonly forwarded?: string
  readonly wait: string
  readonly json?: true
}

export function identityExplainCommand(): Command {
  return new Command('explain')
    .description('Say whom the agent would take a request for, and why: workload, token, tenant.')
    .requiredOption('-c, --config <file>', 'the configuration, sluice.yaml')
    .requiredOption('--certificate <file>', "PEM of the caller's certificate")
    .option('--token <file>', 'its access token; - for standard input')
    .option('--forwarded <text>', 'its x-forwarded-client-cert, where it is a gateway')
    .option('--wait <seconds>', 'how long to wait for identities and keys', '5')
    .option('--json', 'print JSON')
    .action(
      orFail(async (options: ExplainOptions) => {
        const { x, verdict, hasIssuers } = await judged(options)
        const ignored: Ignored = {
          token: options.token !== undefined && !hasIssuers,
          forwarded: options.forwarded !== undefined && x.forwarded === undefined,
        }
        process.stdout.write(
          options.json ? `${JSON.stringify(answer(x, verdict), null, 2)}\n` : told(x, verdict, ignored),
        )
        if (verdict.kind !== 'allow') process.exitCode = 1
      }),
    )
}

/** What was given and is nobody's business. */
interface Ignored {
  readonly token: boolean
  readonly forwarded: boolean
}

/** Asks the very stage that the agent asks; Envoy is taken to have let the certificate in. */
async function judged(
  options: ExplainOptions,
): Promise<{ readonly x: Exchange; readonly verdict: Verdict; readonly hasIssuers: boolean }> {
  const waitMs = readWaitMs(options.wait)
  const config = loadConfig(options.config)
  const { identity } = config
  if (identity === undefined) throw missing(`${options.config}: identity`, 'nothing', 'who may call')
  await using open = new AsyncDisposableStack()
  const opened = await openSource(identity)
  const source = opened && open.use(opened)
  if (source !== undefined && (await firstState(source, waitMs)) === undefined)
    throw missing('identity.source', source.problem() ?? 'no answer', 'an identity')
  const state = source && (() => source.current())
  const tokens = await openTokens(config, { state, onEvent: () => undefined })
  if (tokens) open.use(tokens)
  await settled(() => tokens?.checks.some(({ problem }) => problem() !== undefined) !== true, waitMs)
  const stage = createIdentityStage({ ...identity, state, tokens: tokens?.rules })
  const x: Exchange = {
    id: 'explain',
    request: requestOf(readLeafPem(options.certificate), {
      authorization: options.token === undefined ? undefined : `Bearer ${await readToken(options.token)}`,
      'x-forwarded-client-cert': options.forwarded,
    }),
    resources: resourcesOf(config),
    startedUs: 0,
  }
  const verdict = (await stage.request?.(x)) as Verdict
  return { x, verdict, hasIssuers: tokens !== undefined }
}

const missing = (place: string, found: string, expected: string) =>
  new SluiceError({ code: 'identity_missing', place, found, expected })

/** Keys that are not there in time are what the verdict says then. */
async function settled(isSettled: () => boolean, timeoutMs: number): Promise<void> {
  const endMs = Date.now() + timeoutMs
  while (!isSettled() && Date.now() < endMs) await new Promise((resolve) => setTimeout(resolve, 20))
}

function resourcesOf({ resources }: Config): Exchange['resources'] {
  if (resources === undefined) return noResources
  let problem: string | undefined
  using source = openResources({
    dir: resources.dir,
    tenantFault,
    onLoad: (load) => {
      problem = load.problem
    },
  })
  if (problem !== undefined)
    throw new SluiceError({
      code: 'resources_invalid',
      place: resources.dir,
      found: problem,
      expected: 'resources',
    })
  return source.current()
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    throw new SluiceError({
      code: 'file_missing',
      place: path,
      found: messageOf(cause),
      expected: 'a file',
      cause,
    })
  }
}

async function readToken(path: string): Promise<string> {
  return (path === '-' ? await textOf(process.stdin) : readText(path)).trim()
}

function requestOf(pem: string, headers: Readonly<Record<string, string | undefined>>): RequestFacts {
  const sent = new RequestHeaders()
  for (const [name, value] of Object.entries(headers)) if (value !== undefined) sent.add(name, value)
  return {
    api: 'ext_proc',
    requestId: '',
    method: 'POST',
    path: '/',
    authority: '',
    scheme: 'https',
    protocol: 'HTTP/2',
    headers: sent,
    client: 'http',
    certificate: { pem, isChainValid: true },
    sourceAddress: '',
    isBodyComplete: true,
    routeName: '',
    contextExtensions: {},
    receivedAtMs: Date.now(),
    attributes: () => ({}),
  }
}

function reasonOf(verdict: Verdict): { readonly reason?: string; readonly detail?: string } {
  switch (verdict.kind) {
    case 'allow':
      return {}
    case 'deny':
      return { reason: verdict.reason, ...(verdict.detail !== undefined && { detail: verdict.detail }) }
    case 'error':
      return { reason: verdict.reason, detail: messageOf(verdict.cause) }
    default:
      return verdict satisfies never
  }
}

function answer({ peer, forwarded, token, tenant }: Exchange, verdict: Verdict): object {
  return { verdict: verdict.kind, ...reasonOf(verdict), peer, forwarded, token, tenant: tenant?.name }
}

function told({ peer, forwarded, token, tenant }: Exchange, verdict: Verdict, ignored: Ignored): string {
  const until = (ms: number) => new Date(ms).toISOString()
  const { reason, detail } = reasonOf(verdict)
  return [
    ...(peer ? [`peer     ${peer.spiffeId}, until ${until(peer.notAfterMs)}`] : []),
    ...(forwarded ? [`for      ${forwarded.spiffeId}, as ${forwarded.by} says`] : []),
    ...(ignored.forwarded && verdict.kind === 'allow'
      ? ['for      not looked at: the caller is no trusted forwarder']
      : []),
    ...(ignored.token ? ['token    not looked at: no issuers are configured'] : []),
    ...(token ? [`token    ${token.subject} by ${token.issuer}, until ${until(token.expiresAtMs)}`] : []),
    ...(tenant ? [`tenant   ${tenant.name}`] : []),
    verdict.kind === 'allow'
      ? 'allowed as far as identity goes'
      : `refused  ${reason}: ${detail ?? ''}`.trimEnd(),
  ]
    .map((line) => `${line}\n`)
    .join('')
}
