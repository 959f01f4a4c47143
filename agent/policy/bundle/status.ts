/** What OPA's status reports say of a bundle; times in ms since the epoch. */
export interface BundleStatus {
  readonly name: string
  readonly activeRevision?: string
  readonly lastRequestMs?: number
  readonly lastSuccessfulRequestMs?: number
  readonly lastSuccessfulDownloadMs?: number
  readonly lastSuccessfulActivationMs?: number
  readonly type?: 'snapshot' | 'delta'
  /** As it came over the wire. */
  readonly sizeBytes?: number | undefined
  readonly problem?: BundleProblem
}

export interface BundleProblem {
  readonly code: string
  readonly message: string
  readonly httpStatus?: number | undefined
}

interface Taken {
  readonly type: 'snapshot' | 'delta'
  readonly revision: string
  readonly sizeBytes: number | undefined
}

/** Writes down what becomes of each bundle of a set. */
export class StatusBook {
  readonly #statuses: Map<string, BundleStatus>
  readonly #confirmedAtMs: Map<string, number>
  /** Taken, but not yet in force: another bundle of the set is missing. */
  readonly #waiting = new Map<string, Taken>()
  readonly #nowMs: () => number

  constructor(sources: readonly { readonly name: string; readonly kind: string }[], nowMs: () => number) {
    this.#nowMs = nowMs
    this.#statuses = new Map(sources.map(({ name }) => [name, { name }]))
    // A file is what it is: it needs nobody's word.
    const remote = sources.filter(({ kind }) => kind === 'download')
    this.#confirmedAtMs = new Map(remote.map(({ name }) => [name, nowMs()]))
  }

  requested(name: string): void {
    this.#change(name, { lastRequestMs: this.#nowMs() })
  }

  /** @returns whether there was a problem before. */
  confirmed(name: string, atMs: number = this.#nowMs()): boolean {
    if (this.#confirmedAtMs.has(name)) this.#confirmedAtMs.set(name, atMs)
    const { problem, ...rest } = this.#of(name)
    this.#statuses.set(name, { ...rest, lastSuccessfulRequestMs: this.#nowMs() })
    return problem !== undefined
  }

  taken(name: string, taken: Taken): void {
    this.confirmed(name)
    this.#waiting.set(name, taken)
    this.#change(name, { lastSuccessfulDownloadMs: this.#nowMs() })
  }

  /** All that was taken is in force. */
  activated(): void {
    for (const [name, { revision, type, sizeBytes }] of this.#waiting) {
      const times = { lastSuccessfulActivationMs: this.#nowMs() }
      this.#change(name, { activeRevision: revision, type, sizeBytes, ...times })
    }
    this.#waiting.clear()
  }

  failed(name: string, problem: BundleProblem): void {
    this.#change(name, { problem })
  }

  all(): readonly BundleStatus[] {
    return [...this.#statuses.values()]
  }

  problem(): string | undefined {
    const told = this.all().flatMap(({ problem }) => (problem === undefined ? [] : [problem.message]))
    if (told.length > 0) return told.join('\n')
    const absent = this.all().filter(
      ({ name, activeRevision }) => activeRevision === undefined && !this.#waiting.has(name),
    )
    return absent.length === 0 ? undefined : `waiting for ${absent.map(({ name }) => name).join(', ')}`
  }

  confirmedAtMs(): number {
    return Math.min(...this.#confirmedAtMs.values())
  }

  #of(name: string): BundleStatus {
    return this.#statuses.get(name) ?? { name }
  }

  #change(name: string, change: Partial<BundleStatus>): void {
    this.#statuses.set(name, { ...this.#of(name), ...change })
  }
}
