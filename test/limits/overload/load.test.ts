import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { LoadReadings } from '#limits/overload/load/load-readings.ts'
import { type LoadSeries, readMetricsPage } from '#limits/overload/load/metrics-page.ts'
import { type Scrape, startScraping } from '#limits/overload/load/scrape.ts'
import { virtualTime } from '../../base/virtual-time.ts'
import fc from '../../fast-check.ts'
import { eventually } from '../../harness/temp.ts'

const triton = (model: string, version: string, values: Readonly<Record<string, number | string>>): string =>
  Object.entries(values)
    .map(([name, value]) => `${name}{model="${model}",version="${version}"} ${value}\n`)
    .join('')

const facts = (page: string) =>
  readMetricsPage(page).map(({ fact, model, version, value }) => `${fact} ${model}/${version} ${value}`)

t.test("Triton's and vLLM's names are read in one unit", async (t) => {
  const page = `# HELP nv_inference_queue_duration_us Cumulative inference queuing duration in microseconds
# TYPE nv_inference_queue_duration_us counter
nv_inference_queue_duration_us{model="fraud",version="2"} 1500
nv_inference_request_success{model="fraud",version="2"} 3
nv_inference_pending_request_count{model="fraud",version="2"} 4
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="used",model="llm",version="1"} 77
nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="fraction",model="llm",version="1"} 0.4
nv_gpu_utilization{gpu_uuid="GPU-1"} 0.5
vllm:request_queue_time_seconds_sum{engine="0",model_name="org/m"} 0.25
vllm:e2e_request_latency_seconds_count{engine="0",model_name="org/m"} 2.0 1700000000
vllm:kv_cache_usage_perc{model_name="org/m"} 0.1`
  t.same(facts(page), [
    'queueUs fraud/2 1500',
    'completed fraud/2 3',
    'pending fraud/2 4',
    'cacheUse llm/1 0.4',
    'queueUs org/m/ 250000',
    'completed org/m/ 2',
    'cacheUse org/m/ 0.1',
  ])
})

t.test('what is not in form, or no count, is passed over', async (t) => {
  const name = 'nv_inference_request_success'
  const rows: readonly (readonly [line: string, read: readonly string[]])[] = [
    [`${name}{model="a\\"b\\\\n\\n",version="1"} 1`, ['completed a"b\\n\n/1 1']],
    [`${name}{ model="a", version="1",} 1`, ['completed a/1 1']],
    [`${name}{model="a",version="1"} NaN`, []],
    [`${name}{model="a",version="1"} +Inf`, []],
    [`${name}{model="a",version="1"} -1`, []],
    [`${name}{model="a",version="1"} 1e300`, []],
    [`${name}{model="a",version="1"}`, []],
    [`${name}{model="a",version="1"} x`, []],
    [`${name}{model="a",version="1" 1`, []],
    [`${name}{model="a" version="1"} 1`, []],
    [`${name}{model="a",model="b"} 1`, []],
    [`${name}{model="a`, []],
    [`${name}{version="1"} 1`, []],
    [`${name} 1`, []],
    [`${name}_total{model="a"} 1`, []],
    [`${name}{model="${'a'.repeat(5000)}"} 1`, []],
  ]
  for (const [line, read] of rows) t.same(facts(line), read, line.slice(0, 80))
})

t.test('any text whatever is read without a fault, and no more of it than is bounded', async (t) => {
  const piece = fc.constantFrom(
    'nv_inference_request_success',
    'vllm:num_requests_waiting',
    '{',
    '}',
    'model="a"',
    '="',
    '"',
    '\\',
    ',',
    ' ',
    '1',
    '\n',
    'é',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 60 }), (pieces) =>
      readMetricsPage(pieces.join('')).every(({ value }) => value >= 0),
    ),
  )
  const many = 'nv_inference_request_success{model="a",version="1"} 1\n'.repeat(30_000)
  t.equal(readMetricsPage(many).length, 20_000)
})

const page = (text: string): LoadSeries[] => readMetricsPage(text)
const counters = (queueUs: number, durationUs: number, completed: number) => ({
  nv_inference_queue_duration_us: queueUs,
  nv_inference_request_duration_us: durationUs,
  nv_inference_request_success: completed,
})

t.test('the means are those of the calls that ended between two pages', async (t) => {
  const readings = new LoadReadings()
  readings.take(page(triton('fraud', '1', counters(1000, 5000, 10))))
  t.match(readings.of('fraud', '1'), { isQueueKnown: true, queueMs: undefined, completed: 0 })
  readings.take(page(triton('fraud', '1', counters(21_000, 65_000, 20))))
  t.match(readings.of('fraud', '1'), { queueMs: 2, serviceMs: 4, completed: 10 })
  readings.take(page(triton('fraud', '1', counters(21_000, 65_000, 20))))
  t.match(
    readings.of('fraud', '1'),
    { isQueueKnown: true, queueMs: undefined, completed: 0 },
    'no call ended',
  )
  readings.take(page(triton('fraud', '1', counters(500, 900, 1))))
  t.match(readings.of('fraud', '1'), { queueMs: undefined, completed: 0 }, 'counters that began anew')
  readings.take(page(triton('fraud', '1', counters(1500, 2900, 2))))
  t.match(readings.of('fraud', '1'), { queueMs: 1, serviceMs: 1, completed: 1 })
  readings.take([])
  t.equal(readings.of('fraud', '1'), undefined)
})

t.test('of a model whose version nobody chose, all versions count together', async (t) => {
  const readings = new LoadReadings()
  const both = (one: number, two: number) =>
    page(
      triton('fraud', '1', counters(one * 1000, 0, one)) + triton('fraud', '2', counters(two * 9000, 0, two)),
    )
  readings.take(both(0, 0))
  readings.take(both(4, 4))
  t.match(readings.of('fraud', '1'), { queueMs: 1 })
  t.match(readings.of('fraud', '2'), { queueMs: 9 })
  t.match(readings.of('fraud', ''), { queueMs: 5, completed: 8 })
  t.equal(readings.of('frau', ''), undefined)
  t.match(readings.of('fraud', '3'), { queueMs: 5 }, 'one that is not told apart')
})

t.test('a counter that is no number leaves the wait unknown, not nought', async (t) => {
  const readings = new LoadReadings()
  for (const completed of [1, 2])
    readings.take(
      page(triton('fraud', '1', { ...counters(1, 1, completed), nv_inference_queue_duration_us: 'NaN' })),
    )
  t.match(readings.of('fraud', '1'), { isQueueKnown: false, queueMs: undefined })
})

t.test('a page is asked for once an interval, and one that fails ends nothing', async (t) => {
  const time = virtualTime()
  const answers = [
    async () => ({ status: 200, body: Buffer.from(triton('fraud', '1', counters(1, 1, 1))) }),
    async () => ({ status: 503, body: Buffer.from('busy') }),
    () => Promise.reject(new Error('no whole answer within 500 ms')),
    async () => ({ status: 200, body: Buffer.alloc(0) }),
  ]
  const seen: Scrape[] = []
  const settings = { address: '127.0.0.1:1', path: '/metrics', intervalMs: 500, maxBytes: 1000 }
  const scraping = startScraping({
    settings,
    onScrape: (scrape) => void seen.push(scrape),
    get: () => (answers.shift() as () => Promise<{ status: number; body: Buffer }>)(),
    pause: time.pause,
  })
  await time.advance(1500)
  await scraping[Symbol.asyncDispose]()
  t.match(seen, [
    { kind: 'read', series: { length: 3 } },
    { kind: 'failed', problem: 'status 503' },
    { kind: 'failed', problem: /no whole answer/ },
    { kind: 'read', series: { length: 0 } },
  ])
  t.same(time.asked, [500, 500, 500, 500])
})

t.test('a server that sends without end, or nothing, is left in time', async (t) => {
  const rows = [
    { path: '/endless', intervalMs: 60_000, problem: /more than 10000 bytes/ },
    { path: '/silent', intervalMs: 100, problem: /no whole answer within 100 ms/ },
    { path: '/cut', intervalMs: 60_000, problem: /aborted|cut off|socket hang up/ },
  ]
  const server = createServer((request, response) => {
    if (request.url === '/silent') return
    response.writeHead(200, request.url === '/cut' ? { 'content-length': '99' } : {})
    if (request.url === '/cut') return void response.write('nv_', () => response.destroy())
    const more = () => {
      while (!response.destroyed && response.write('nv_inference_request_success{model="a"} 1\n'.repeat(50)));
    }
    response.on('drain', more)
    more()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  for (const { path, intervalMs, problem } of rows) {
    const seen: Scrape[] = []
    const settings = { address: `127.0.0.1:${port}`, path, intervalMs, maxBytes: 10_000 }
    const scraping = startScraping({ settings, onScrape: (scrape) => void seen.push(scrape) })
    await eventually(path, () => seen.length > 0)
    await scraping[Symbol.asyncDispose]()
    t.match(seen[0], { kind: 'failed', problem }, path)
  }
})
