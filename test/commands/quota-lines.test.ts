import t from 'tap'
import type { LimitReport } from '#limits/admin/admin.ts'
import { reportLines } from '../../agent/commands/quota/show.ts'

const report: LimitReport = {
  limit: 'all/daily',
  tenant: 'acme',
  unit: 'requests',
  kind: 'calendar',
  mode: 'enforce',
  quota: 10,
  used: 3,
  remaining: 7,
  resetSeconds: 60,
}

t.test(
  'limits of which the store lost what was used are marked, and below them it is said what ends that',
  async (t) => {
    t.equal(reportLines([report]).length, 2)
    const lines = reportLines([report, { ...report, lost: 'deny' }, { ...report, lost: 'share' }])
    t.match(lines[1], /1m$/)
    t.match(lines[2], /lost$/)
    t.same(
      lines.slice(4).map((line) => line.replace(/:.*;/, ':')),
      [
        '1 refused: "sluice quota reset" ends it',
        '1 granted by each agent\'s share: "sluice quota reset" ends it',
      ],
    )
  },
)
