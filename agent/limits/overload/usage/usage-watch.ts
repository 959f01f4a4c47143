import { type Usage, UsageHistory, type UsageSettings } from './usage-history.ts'

/** Tenants whose history is kept; of more, those that were quiet longest are forgotten. */
const maxTenants = 1024

/** What each tenant uses, beside what it used to. */
export class UsageWatch {
  readonly #settings: UsageSettings
  readonly #onChange: (tenant: string, isUnusual: boolean) => void
  readonly #histories = new Map<string, UsageHistory>()
  readonly #unusual = new Set<string>()

  constructor(settings: UsageSettings, onChange: (tenant: string, isUnusual: boolean) => void) {
    this.#settings = settings
    this.#onChange = onChange
  }

  take(tenant: string, cost: number, nowMs: number): Usage {
    let history = this.#histories.get(tenant)
    if (history === undefined) {
      if (this.#histories.size >= maxTenants) this.#forgetQuietest()
      history = new UsageHistory(this.#settings, nowMs)
      this.#histories.set(tenant, history)
    }
    const usage = history.take(cost, nowMs)
    if ((usage !== 'usual') !== this.#unusual.has(tenant)) this.#changed(tenant, usage !== 'usual')
    return usage
  }

  /** Those that are unusual now, also where they have gone quiet since. */
  unusual(nowMs: number): readonly string[] {
    for (const tenant of [...this.#unusual])
      if (this.#histories.get(tenant)?.isUnusual(nowMs) !== true) this.#changed(tenant, false)
    return [...this.#unusual]
  }

  secondsLeft(tenant: string, nowMs: number): number {
    return this.#histories.get(tenant)?.secondsLeft(nowMs) ?? 1
  }

  #changed(tenant: string, isUnusual: boolean): void {
    if (isUnusual) this.#unusual.add(tenant)
    else this.#unusual.delete(tenant)
    this.#onChange(tenant, isUnusual)
  }

  #forgetQuietest(): void {
    let quietest: readonly [tenant: string, interval: number] | undefined
    for (const [tenant, { interval }] of this.#histories)
      if (quietest === undefined || interval < quietest[1]) quietest = [tenant, interval]
    if (quietest === undefined) return
    this.#histories.delete(quietest[0])
    if (this.#unusual.has(quietest[0])) this.#changed(quietest[0], false)
  }
}
