import type { Clock } from '#base/clock.ts'
import type { JwtSvid } from './jwt-svid.ts'

export type FetchedJwtSvid =
  | { readonly ok: true; readonly svid: JwtSvid }
  /** `denied`: we are nobody to the Workload API, and must not use what it gave before. */
  | { readonly ok: false; readonly kind: 'denied' | 'failed'; readonly why: string }

/** Audiences that are asked for again and again; a peer's name must not be able to fill memory. */
const maxAudiences = 256

/**
 * Keeps tokens until half of their life is over, then asks for new ones, at most once at a time for each audience. Where
 * there is no new one, the old one does until its end.
 */
export function createJwtCache(options: {
  fetch(audience: string): Promise<FetchedJwtSvid>
  readonly clock: Clock
}): { get(audience: string): Promise<FetchedJwtSvid>; clear(): void } {
  const { clock } = options
  const kept = new Map<string, JwtSvid>()
  const running = new Map<string, Promise<FetchedJwtSvid>>()
  let epoch = 0

  const renew = async (audience: string): Promise<FetchedJwtSvid> => {
    const began = epoch
    const fetched = await options.fetch(audience)
    // What was asked for before everything was taken back is of that time.
    if (began === epoch) running.delete(audience)
    if (fetched.ok) {
      if (began === epoch) keep(audience, fetched.svid)
      return fetched
    }
    const old = kept.get(audience)
    if (fetched.kind === 'denied') kept.delete(audience)
    else if (old !== undefined && clock.nowMs() < old.expiresAtMs) return { ok: true, svid: old }
    return fetched
  }
  const keep = (audience: string, svid: JwtSvid) => {
    kept.delete(audience)
    kept.set(audience, svid)
    const [oldest] = kept.keys()
    if (kept.size > maxAudiences && oldest !== undefined) kept.delete(oldest)
  }
  return {
    get: async (audience) => {
      const svid = kept.get(audience)
      if (svid !== undefined && clock.nowMs() < (svid.issuedAtMs + svid.expiresAtMs) / 2)
        return { ok: true, svid }
      let renewal = running.get(audience)
      if (renewal === undefined) {
        renewal = renew(audience)
        running.set(audience, renewal)
      }
      return renewal
    },
    clear: () => {
      epoch++
      kept.clear()
      running.clear()
    },
  }
}
