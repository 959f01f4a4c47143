import { randomUUID } from 'node:crypto'
import type { Usage } from '#decision/usage.ts'
import type { Resources } from '#resources/resources.ts'
import { chargeOf } from '../rules/charge.ts'
import { compileRules, type Rule, type Rules, type Subject, type Terms } from '../rules/rules.ts'
import { mostAtOnce } from '../store/most-at-once.ts'
import type {
  Charge,
  CounterRule,
  CounterState,
  QuotaStore,
  StoreFailurePolicy,
  StoreFault,
} from '../store/store.ts'
import { fault, readOnce, readSubject, readUnits, readUsage, refuseUnknown } from './subject.ts'

/** How one limit stands for one subject. */
export interface LimitReport {
  /** `policy/limit` */
  readonly limit: string
  readonly tenant: string | undefined
  readonly unit: string
  readonly kind: CounterRule['kind']
  readonly mode: string
  /** What stands as `rate`, `limit` or `max`, or in its place. */
  readonly quota: number
  readonly used: number
  readonly remaining: number
  /** When it will be as new if nothing else comes; 0 for what ends with the calls that run. */
  readonly resetSeconds: number
  /** The store lost its memory: what is used is what was counted since. `deny` refuses until a reset, or until it cannot matter. */
  readonly lost?: StoreFailurePolicy
}

export interface CallReport {
  readonly limit: string
  readonly unit: string
  readonly mode: string
  /** What the call would be charged; absent where the expression gives no number, and an enforced limit refuses. */
  readonly cost?: number
  /** The counter, so that it can be told which calls share it. */
  readonly counter: string
  readonly remaining: number
  /** `never`: it asks for more than the limit can give; `lost`: nobody knows what was used. */
  readonly answer: 'granted' | 'over' | 'never' | 'no_cost' | 'lost'
  readonly retrySeconds?: number
}

export interface QuotaAdmin {
  /** How limits stand, for one subject, or for each tenant where none is named. */
  show(query: URLSearchParams): Promise<readonly LimitReport[]>
  /** What would become of a call, without making it. */
  explain(
    query: URLSearchParams,
  ): Promise<{ readonly answer: 'granted' | 'refused'; readonly limits: readonly CallReport[] }>
  /** Gives `units` of one limit back to a subject. */
  grant(query: URLSearchParams): Promise<LimitReport>
  /** Forgets what a subject used of one limit. */
  reset(query: URLSearchParams): Promise<LimitReport>
}

/** So many counters are looked at in one step. */
const batchSize = 64
/** So many rows are shown at most. */
const maxRows = 10_000

/**
 * What people may see and change of quotas. Every function reads a query of strings, as it comes from a command line.
 * A query that cannot be read rejects with a SluiceError.
 */
export function createQuotaAdmin(options: {
  readonly store: QuotaStore
  readonly resources: () => Resources
  readonly leaseMs: number
  /** Told of each change. */
  readonly onChange?: (change: {
    readonly verb: 'grant' | 'reset'
    readonly limit: string
    readonly counter: string
    readonly units?: number
  }) => void
}): QuotaAdmin {
  const { store, resources, leaseMs, onChange } = options
  const rules = (): Rules => compileRules(resources(), { leaseMs })

  /** A tenant that is misspelt would be shown, and given back, what nobody uses. */
  const subjectOf = (query: URLSearchParams): Subject => {
    const subject = readSubject(query)
    const { tenant } = subject
    if (tenant === undefined || resources().tenants.some(({ name }) => name === tenant)) return subject
    throw fault('tenant', tenant, 'a tenant of the resources')
  }

  const reports = async (rows: readonly Row[]): Promise<LimitReport[]> => {
    const done: LimitReport[] = []
    for (let at = 0; at < rows.length; at += batchSize) {
      const batch = rows.slice(at, at + batchSize)
      const states = await peeked(
        store,
        batch.map(({ charge }) => charge),
      )
      batch.forEach((row, index) => {
        done.push(reportOf(row, states[index] as Standing))
      })
    }
    return done
  }

  /** The one counter that a change is for. */
  const chosen = (query: URLSearchParams): Row => {
    const name = readOnce(query, 'limit')
    if (name === undefined) throw fault('limit', 'nothing', 'the name of a limit: policy/limit')
    const subject = subjectOf(query)
    const found = rowsOf(rules(), subject).find(({ rule }) => rule.name === name)
    if (found?.charge.rule.kind === 'concurrency')
      throw fault(
        'limit',
        `${name}, which counts what runs`,
        'a limit of another kind: a place is free when its call ends',
      )
    if (found !== undefined) return found
    const known = rules().all.map((rule) => rule.name)
    throw known.includes(name)
      ? fault('limit', `${name}, which is not for this subject`, 'the tenant and model it is for')
      : fault('limit', name, `one of ${known.join(', ') || 'none'}`)
  }

  const changed = async (row: Row, change: { readonly back: number } | 'reset'): Promise<LimitReport> => {
    const answer = await store.adjust(`admin-${randomUUID()}`, row.charge, change)
    if (typeof answer === 'string') throw fault('limits.store', answer, 'a store that can be asked')
    onChange?.({
      verb: change === 'reset' ? 'reset' : 'grant',
      limit: row.rule.name,
      counter: row.charge.key.id,
      ...(change !== 'reset' && { units: change.back }),
    })
    const [state] = await peeked(store, [row.charge])
    return reportOf(row, state as Standing)
  }

  return {
    show: async (query) => {
      refuseUnknown(query, ['limit'])
      const name = readOnce(query, 'limit')
      const subject = subjectOf(query)
      const compiled = rules()
      const subjects =
        subject.tenant === undefined
          ? [...resources().tenants.map((tenant) => ({ ...subject, tenant: tenant.name })), subject]
          : [subject]
      const seen = new Set<string>()
      const rows = subjects
        .flatMap((each) => rowsOf(compiled, each))
        .filter(({ rule, charge }) => {
          const counter = `${rule.name} ${charge.key.partition} ${charge.key.id}`
          if (seen.has(counter) || (name !== undefined && rule.name !== name)) return false
          seen.add(counter)
          return true
        })
      if (rows.length > maxRows)
        throw fault('tenant', `${rows.length} counters`, `at most ${maxRows}: name a tenant or a limit`)
      return reports(rows)
    },
    explain: async (query) => {
      refuseUnknown(query, Object.keys(readUsage(new URLSearchParams())))
      const subject = subjectOf(query)
      const usage = readUsage(query)
      const rows = rowsOf(rules(), subject, usage)
      const states = await peeked(
        store,
        rows.map(({ charge }) => charge),
      )
      const limits = rows.map((row, index) => callReport(row, states[index] as Standing))
      const isRefused = limits.some(({ answer, mode }) => mode === 'enforce' && answer !== 'granted')
      return { answer: isRefused ? 'refused' : 'granted', limits }
    },
    grant: async (query) => {
      refuseUnknown(query, ['limit', 'units'])
      const units = readUnits(query, 'units')
      if (units === undefined || units === 0)
        throw fault('units', units === 0 ? '0' : 'nothing', 'how many units to give back')
      return changed(chosen(query), { back: units })
    },
    reset: async (query) => {
      refuseUnknown(query, ['limit'])
      return changed(chosen(query), 'reset')
    },
  }
}

interface Row {
  readonly rule: Rule
  readonly terms: Terms
  readonly tenant: string | undefined
  readonly charge: Charge
  /** `undefined` where the expression gives no number. */
  readonly cost: number | undefined
}

function rowsOf(rules: Rules, subject: Subject, usage?: Usage): Row[] {
  return rules.rulesFor(subject).flatMap((rule): Row[] => {
    const terms = rule.termsFor(subject, {})
    if (typeof terms === 'string') return []
    const cost = usage === undefined ? 0 : rule.cost(usage, subject)
    // What is asked is the store, and not what this agent has drawn.
    const charge = { ...chargeOf(rule, { terms, subject, cost: cost ?? 0 }), isLeased: false }
    return [{ rule, terms, tenant: subject.tenant, charge, cost }]
  })
}

/** What a counter says, and whether what it said before was lost. */
interface Standing {
  readonly state: CounterState
  readonly isLost: boolean
}

async function peeked(store: QuotaStore, charges: readonly Charge[]): Promise<readonly Standing[]> {
  const states = await store.peek(charges)
  if (states !== 'lost') return known(states).map((state) => ({ state, isLost: false }))
  // Which of them nobody says; and only what does not refuse is told what has been counted since.
  const since = known(await store.peek(charges.map((charge) => ({ ...charge, isEnforced: false }))))
  return Promise.all(
    charges.map(async (charge, index) => ({
      state: since[index] as CounterState,
      isLost: (await store.peek([charge])) === 'lost',
    })),
  )
}

function known(states: readonly CounterState[] | StoreFault): readonly CounterState[] {
  if (typeof states === 'string') throw fault('limits.store', states, 'a store that can be asked')
  return states
}

function reportOf({ rule, terms, tenant, charge }: Row, { state, isLost }: Standing): LimitReport {
  const { quota } = terms
  const { remaining, resetUs } = state
  // What can be there at once, which for a leased rate is less than what is declared.
  const most = mostAtOnce(charge.rule)
  return {
    limit: rule.name,
    tenant,
    unit: rule.unit,
    kind: charge.rule.kind,
    mode: terms.mode,
    quota,
    used: Math.max(0, most - remaining),
    remaining,
    resetSeconds: Math.ceil(resetUs / 1e6),
    ...(isLost && { lost: charge.onStoreFailure }),
  }
}

function callReport({ rule, terms, charge, cost }: Row, { state, isLost }: Standing): CallReport {
  const { isOver, remaining, retryUs } = state
  const isNever = retryUs === Number.POSITIVE_INFINITY
  const isRefusedByLoss = isLost && charge.onStoreFailure === 'deny'
  const answer =
    cost === undefined
      ? 'no_cost'
      : isRefusedByLoss
        ? 'lost'
        : !isOver
          ? 'granted'
          : isNever
            ? 'never'
            : 'over'
  return {
    limit: rule.name,
    unit: rule.unit,
    mode: terms.mode,
    ...(cost !== undefined && { cost }),
    counter: `${charge.key.partition} ${charge.key.id}`,
    remaining,
    answer,
    ...(answer === 'over' && { retrySeconds: Math.ceil(retryUs / 1e6) }),
  }
}
