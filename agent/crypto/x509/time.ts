import { MalformedError } from '#base/malformed.ts'
import { type DerReader, tags } from '../der.ts'

/** A point in time with the offset it was written with. */
export interface CertificateTime {
  readonly ms: number
  readonly offsetMinutes: number
  /** To the second and in Greenwich, the one form that certificates may have. @see RFC 5280, 4.1.2.5 */
  readonly isProfiled: boolean
}

const utcTime = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?(?:Z|([+-])(\d\d)(\d\d))$/
const generalizedTime = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:Z|([+-])(\d\d)(\d\d))$/

/** As RFC 5280 has it in certificates and revocation lists, in milliseconds since the epoch. @throws MalformedError */
export function parseProfiledTime(reader: DerReader): number {
  const { ms, isProfiled } = parseTime(reader)
  if (!isProfiled) throw new MalformedError('a time without seconds, or with an offset')
  return ms
}

/** UTCTime or GeneralizedTime, in whatever form they have. @throws MalformedError */
export function parseTime(reader: DerReader): CertificateTime {
  const { tag, contents } = reader.any()
  const form = tag === tags.utcTime ? utcTime : tag === tags.generalizedTime ? generalizedTime : undefined
  const parts = form?.exec(contents.toString('latin1'))
  if (parts === undefined || parts === null) throw new MalformedError('not a time')
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0] = parts.slice(1, 6).map(Number)
  const second = Number(parts[6] ?? '0')
  // Two digits are of 1950 to 2049.
  const fullYear = tag === tags.generalizedTime ? year : year < 50 ? 2000 + year : 1900 + year
  const written = new Date(0)
  written.setUTCFullYear(fullYear, month - 1, day)
  const isDate = month >= 1 && written.getUTCMonth() === month - 1 && written.getUTCDate() === day
  if (!isDate || hour > 23 || minute > 59 || second > 59) throw new MalformedError('not a time')
  const [sign, zoneHours, zoneMinutes] = [parts[7], Number(parts[8] ?? '0'), Number(parts[9] ?? '0')]
  const offsetMinutes = (sign === '-' ? -1 : 1) * (zoneHours * 60 + zoneMinutes)
  // No offset is written as Z, and only so; Go writes none of a day in JSON.
  if ((sign !== undefined && offsetMinutes === 0) || zoneHours > 23 || zoneMinutes > 59)
    throw new MalformedError('not an offset')
  const ms = written.getTime() + ((hour * 60 + minute - offsetMinutes) * 60 + second) * 1000
  return { ms, offsetMinutes, isProfiled: parts[6] !== undefined && sign === undefined }
}
