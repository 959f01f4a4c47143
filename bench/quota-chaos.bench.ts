import type { BenchOptions, Row } from './bench.ts'
import { runChaos } from './quota-chaos/run.ts'

/**
 * Processes that share a real Valkey while processes, the store and the network fail by a seeded schedule; everything that
 * was let through is compared with what was promised. Not a contest of speed: the other figures say at what load.
 */
export async function measure({ seconds, seed, only }: BenchOptions): Promise<Row[]> {
  const result = await runChaos({ seed, until: { seconds }, only })
  for (const { limit, units, fromUs, toUs } of result.excesses)
    process.stderr.write(`${limit}: ${units} too many in ${toUs - fromUs} us\n`)
  const { reports } = result
  const calls = sum(reports.map(({ calls }) => calls))
  const waitsMs = reports.flatMap((report) => report.waitsMs).sort((a, b) => a - b)
  const counted = (name: string) => sum(reports.map(({ counts }) => counts[name] ?? 0))
  return [
    {
      name: 'sluice',
      rps: calls / result.seconds,
      cpuUs: sum(reports.map(({ cpuUs }) => cpuUs)) / calls,
      p50Ms: waitsMs[Math.floor(waitsMs.length * 0.5)] ?? 0,
      p99Ms: waitsMs[Math.floor(waitsMs.length * 0.99)] ?? 0,
      rssMb: Math.max(...reports.map(({ rssMb }) => rssMb)),
      overAdmitted: sum(result.excesses.map(({ units }) => units)),
      shareOverAdmitted: result.shared?.units ?? 0,
      shareBound: result.sharedBound,
      keptOut: result.keptOut,
      lostSettles: result.tooMuch,
      doubledSettles: result.tooLittle,
      storeLost: counted('memory_lost'),
      admissions: result.admissions,
      leased: counted('leased'),
      shared: counted('shared'),
      dropped: counted('dropped'),
      ledgers: result.ledgers,
      faults: result.faults.length,
      seed,
    },
  ]
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((all, number) => all + number, 0)
}
