import t from 'tap'
import { LoadReadings } from '#limits/overload/load/load-readings.ts'
import { type Scrape, startScraping } from '#limits/overload/load/scrape.ts'
import { http } from '../../harness/http.ts'
import { eventually } from '../../harness/temp.ts'
import { startTriton } from '../../harness/triton.ts'

const body = JSON.stringify({ inputs: [{ name: 'features', datatype: 'FP32', shape: [3], data: [1, 2, 3] }] })

t.test('the real Triton says how long calls waited, by version, under the names that are read', async (t) => {
  await using triton = await startTriton(undefined, { hasMetrics: true })
  const address = `127.0.0.1:${triton.metricsPort}`
  /** One look; what is asked for in between ended before. */
  const look = async () => {
    const seen: Scrape[] = []
    const settings = { address, path: '/metrics', intervalMs: 60_000, maxBytes: 4 << 20 }
    await using _ = startScraping({ settings, onScrape: (scrape) => void seen.push(scrape) })
    const scrape = await eventually('a look', () => seen[0])
    if (scrape.kind === 'failed') throw new Error(scrape.problem)
    return scrape.series
  }
  const infer = (version: string, count: number) =>
    Promise.all(
      Array.from({ length: count }, () =>
        http({ port: triton.httpPort, path: `/v2/models/fraud/versions/${version}/infer`, body }),
      ),
    )
  const readings = new LoadReadings()
  readings.take(await look())
  t.match(readings.of('fraud', '1'), { isQueueKnown: true, queueMs: undefined, pending: 0 })
  await infer('1', 12)
  await infer('2', 3)
  // Triton may answer a call before it counts it.
  const counted = { '1': 0, '2': 0, '': 0 }
  const measured: string[] = []
  await eventually('all calls are counted', async () => {
    readings.take(await look())
    for (const version of ['1', '2', ''] as const) {
      const reading = readings.of('fraud', version)
      counted[version] += reading?.completed ?? 0
      if ((reading?.queueMs ?? -1) >= 0 && (reading?.serviceMs ?? -1) > 0 && (reading?.batch ?? 0) >= 1)
        measured.push(version)
    }
    return counted[''] >= 15
  })
  t.same(counted, { '1': 12, '2': 3, '': 15 })
  t.same([...new Set(measured)].sort(), ['', '1', '2'])
  readings.take(await look())
  t.match(readings.of('fraud', '1'), { isQueueKnown: true, queueMs: undefined, completed: 0 })
})
