import { Command } from 'commander'
import type { LimitReport } from '#limits/admin/admin.ts'
import { orFail } from '../fail.ts'
import { printJson, printLines } from '../report.ts'
import { askQuota, columns, type SubjectOptions, withSubjectOptions } from './options.ts'

export function quotaShowCommand(): Command {
  const command = new Command('show').description('Say how much is used and left, of one tenant or of each.')
  return withSubjectOptions(command)
    .option('-l, --limit <policy/limit>', 'only this limit')
    .action(
      orFail(async (options: SubjectOptions & { readonly limit?: string }) => {
        const reports = (await askQuota('show', options, { limit: options.limit })) as LimitReport[]
        if (options.json) printJson(reports)
        else printLines(reports.length === 0 ? ['no limit applies'] : reportLines(reports))
      }),
    )
}

export function reportLines(reports: readonly LimitReport[]): string[] {
  const head = ['TENANT', 'LIMIT', 'UNIT', 'KIND', 'MODE', 'QUOTA', 'USED', 'LEFT', 'AS NEW IN']
  const rows = reports.map((each) => [
    each.tenant ?? '(none)',
    each.limit,
    each.unit,
    each.kind,
    each.mode,
    String(each.quota),
    String(each.used),
    String(each.remaining),
    each.lost !== undefined ? 'lost' : each.resetSeconds === 0 ? '-' : spanText(each.resetSeconds),
  ])
  return [...columns([head, ...rows]), ...lossLines(reports)]
}

/** What to do about limits of which the store lost what was used. */
function lossLines(reports: readonly LimitReport[]): string[] {
  const denied = reports.filter(({ lost }) => lost === 'deny').length
  const shared = reports.filter(({ lost }) => lost === 'share').length
  const lines: string[] = []
  if (denied > 0) lines.push(`${denied} refused: the store lost what was used; "sluice quota reset" ends it`)
  if (shared > 0)
    lines.push(
      `${shared} granted by each agent's share: the store lost what was used; "sluice quota reset" ends it`,
    )
  return lines
}

/** Two units of time at most. */
export function spanText(seconds: number): string {
  const parts = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor((seconds % 86_400) / 3600), 'h'],
    [Math.floor((seconds % 3600) / 60), 'm'],
    [seconds % 60, 's'],
  ] as const
  const first = parts.findIndex(([count]) => count > 0)
  return parts
    .slice(first === -1 ? 3 : first)
    .slice(0, 2)
    .filter(([count], at) => count > 0 || at === 0)
    .map(([count, unit]) => `${count}${unit}`)
    .join(' ')
}
