import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { splitHostPort } from '#base/address.ts'
import { goTool } from './go-tools.ts'
import { type RunningProcess, startProcess } from './process.ts'
import { run } from './run.ts'
import { temporaryFolder } from './temp.ts'

/**
 * A grpc-go server with fixed answers on `unix:/path` or `host:port`: ext_authz allows, ext_proc changes nothing, health
 * is good. What Go reads from its environment (`GOMAXPROCS`, `GOGC`) goes into `env`.
 */
export async function startGoServer(
  listen: string,
  env: Readonly<Record<string, string>> = {},
): Promise<RunningProcess> {
  return startProcess({
    name: 'the grpc-go server',
    program: await goTool('grpc'),
    args: ['serve', '-listen', listen],
    env,
    isReady: () => answers(listen),
  })
}

function answers(listen: string): Promise<boolean> {
  return new Promise((resolve) => {
    const target = listen.startsWith('unix:') ? { path: listen.slice('unix:'.length) } : splitHostPort(listen)
    const socket = connect(target)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** One case of h2spec against a server on `port` of this machine. */
export interface H2specCase {
  /** Such as `http2/6.9.1 Sends SETTINGS frame …`; no two are the same. */
  readonly name: string
  readonly outcome: 'passed' | 'failed' | 'skipped'
  /** What came in place of what was wanted; empty unless it failed. */
  readonly problem: string
}

/** Every case of h2spec, the strict ones too. @throws Error when it does not get as far as a report. */
export async function runH2spec(port: number): Promise<readonly H2specCase[]> {
  using folder = temporaryFolder()
  const report = join(folder.path, 'report.xml')
  let ended: unknown
  // It ends with 1 when a case failed; whether it ran at all, the report tells.
  await run(await goTool('h2spec'), ['--strict', '-h', '127.0.0.1', '-p', `${port}`, '-j', report]).catch(
    (cause: unknown) => {
      ended = cause
    },
  )
  try {
    return parseReport(readFileSync(report, 'utf8'))
  } catch (cause) {
    throw new Error('h2spec left no report', { cause: ended ?? cause })
  }
}

function parseReport(xml: string): H2specCase[] {
  const cases = xml.matchAll(
    /<testcase package="([^"]*)" classname="([^"]*)"[^>]*>(?:\s*<(skipped|failure|error)>([\s\S]*?)<\/\3>\s*)?<\/testcase>/g,
  )
  return [...cases].map(([, group = '', title = '', element, problem = '']) => ({
    name: `${group} ${title.replaceAll('&#34;', '"')}`,
    outcome: element === undefined ? 'passed' : element === 'skipped' ? 'skipped' : 'failed',
    problem,
  }))
}

/** The names of gRPC's interop cases that grpc-go runs against a server. */
export async function interopCases(): Promise<readonly string[]> {
  return (await run(await goTool('grpc'), ['client'])).toString().trim().split('\n')
}

/** What went wrong in one interop case against `unix:/path` or `host:port`; `undefined` when nothing did. */
export async function runInteropCase(options: {
  readonly name: string
  readonly address: string
  /** Who signed the certificate of the server, for `localhost`; plain text without it. */
  readonly caFile: string | undefined
}): Promise<string | undefined> {
  const { name, address, caFile = '' } = options
  const args = ['client', '-address', address, '-tls-ca', caFile, '-case', name]
  return run(await goTool('grpc'), args).then(
    () => undefined,
    (problem: unknown) => String(problem),
  )
}

/** What golang.org/x/net says of HPACK. Questions are answered in their order. */
export interface HpackOracle extends AsyncDisposable {
  /** What may be asked stands at the head of `test/peers/hpack/main.go`. */
  ask(question: string): Promise<HpackAnswer>
}

export interface HpackAnswer {
  /** Names and values in hexadecimal. */
  readonly headers?: readonly (readonly [string, string])[]
  /** In hexadecimal. */
  readonly block?: string
  readonly error?: string
}

export async function startHpackOracle(): Promise<HpackOracle> {
  const child = spawn(await goTool('hpack'), { stdio: ['pipe', 'pipe', 'inherit'] })
  const waiting: { answer(value: HpackAnswer): void; fail(cause: Error): void }[] = []
  const ended = once(child, 'close')
  ended.then(() => {
    for (const { fail } of waiting) fail(new Error('the HPACK oracle ended'))
  })
  createInterface({ input: child.stdout }).on('line', (line) => {
    waiting.shift()?.answer(JSON.parse(line))
  })
  return {
    ask: (question) =>
      new Promise((answer, fail) => {
        waiting.push({ answer, fail })
        child.stdin.write(`${question}\n`)
      }),
    [Symbol.asyncDispose]: async () => {
      child.stdin.end()
      await ended
    },
  }
}
