import type { CertificateTime } from '#crypto/x509/time.ts'

/** As Go's JSON writes it, RFC 3339. */
export function timeText({ ms, offsetMinutes }: CertificateTime): string {
  const local = new Date(ms + offsetMinutes * 60_000).toISOString().slice(0, 19)
  if (offsetMinutes === 0) return `${local}Z`
  const two = (number: number) => String(number).padStart(2, '0')
  const away = Math.abs(offsetMinutes)
  return `${local}${offsetMinutes < 0 ? '-' : '+'}${two(Math.floor(away / 60))}:${two(away % 60)}`
}
