import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { startProcess } from '../test/harness/process.ts'
import { type Contender, measureBehindEnvoy } from './behind-envoy.ts'
import type { BenchOptions, Row } from './bench.ts'
import { plainEnvoy } from './bootstraps.ts'
import { startGo } from './deciders.ts'
import { inferRequest } from './scene.ts'

/** What a gRPC server costs by itself: ext_authz asks, the answer is always the same empty OK. */
export async function measure(options: BenchOptions): Promise<Row[]> {
  const contenders = [
    contender('sluice', startFixed('fixed-sluice.ts')),
    contender('node-http2', startFixed('fixed-node-http2.ts')),
    contender('grpc-js', startFixed('fixed-grpc-js.ts')),
    contender('grpc-go', startGo),
  ]
  return await measureBehindEnvoy(contenders, options)
}

function contender(name: string, start: NonNullable<Contender['start']>): Contender {
  const request = inferRequest('/v2/models/fraud/versions/1/infer', 't1')
  return {
    name,
    start,
    bootstrap: plainEnvoy,
    questions: { request: () => request },
    checks: [{ request, status: '200' }],
  }
}

function startFixed(file: string): NonNullable<Contender['start']> {
  return async (folder) => {
    const path = join(folder, 'fixed.sock')
    const address = `unix:${path}`
    const running = await startProcess({
      name: file,
      program: process.execPath,
      args: [join(import.meta.dirname, 'grpc', file), address],
      isReady: () => existsSync(path),
    })
    return { ...running, address }
  }
}
