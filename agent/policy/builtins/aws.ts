import { createHash, createHmac } from 'node:crypto'
import { compareStrings } from '../values/compare.ts'
import { goJson } from '../values/go-json.ts'
import { Decimal, isObject, type RegoObject, type RegoValue } from '../values/value.ts'
import type { Family } from './builtin.ts'
import { escapedPath, octetsOf, parseUrl, textOf } from './go-url.ts'
import { bigInteger, boolean, OperandError, object, text } from './operands.ts'

/** What a request may say, as `http.send` would take it. */
const requestNames: ReadonlySet<string> = new Set(
  `method url body enable_redirect force_json_decode force_yaml_decode headers raw_body tls_use_system_certs tls_ca_cert
  tls_ca_cert_file tls_ca_cert_env_variable tls_client_cert tls_client_cert_file tls_client_cert_env_variable
  tls_client_key tls_client_key_file tls_client_key_env_variable tls_insecure_skip_verify tls_server_name timeout cache
  force_cache force_cache_duration_seconds raise_error caching_mode max_retry_attempts cache_ignored_headers`.split(
    /\s+/,
  ),
)

/** What a proxy may change on the way. */
const unsignedHeaders: ReadonlySet<string> = new Set(['authorization', 'user-agent', 'x-amzn-trace-id'])

/**
 * The request with the headers of AWS Signature Version 4 added.
 *
 * @throws OperandError
 * @see https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
 */
function signRequest(request: RegoObject, config: RegoObject, timeNs: bigint): RegoObject {
  const names = ['aws_service', 'aws_access_key', 'aws_secret_access_key', 'aws_region']
  const [service = '', accessKey = '', secretKey = '', region = ''] = names.map((name) =>
    text(own(config, name)),
  )
  if (Object.keys(request).some((name) => !requestNames.has(name)))
    throw new OperandError('no such request parameter')
  const [method, url] = [text(own(request, 'method')), text(own(request, 'url'))]
  const given = own(request, 'headers')
  const headers = given === undefined ? {} : object(given)
  const isPayloadUnsigned = optional(own(config, 'disable_payload_signing'), boolean) ?? false
  const target = parseUrl(octetsOf(url))
  const now = new Date(Number(floorDiv(timeNs, 1_000_000_000n)) * 1000)
  const time = `${now.toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`
  const date = time.slice(0, -8)
  const contentHash = isPayloadUnsigned ? 'UNSIGNED-PAYLOAD' : sha256(bodyOf(request))
  const token = textOrNothing(own(config, 'aws_session_token'))
  const added: Record<string, string> = {
    host: textOf(target.host),
    'x-amz-date': time,
    ...((service === 's3' || service === 'glacier') && { 'x-amz-content-sha256': contentHash }),
    ...(token !== '' && { 'x-amz-security-token': token }),
  }
  const signed = new Map(Object.entries(added))
  for (const [name, value] of Object.entries(headers)) {
    const lower = name.toLowerCase()
    if (!unsignedHeaders.has(lower)) signed.set(lower, textOrNothing(value))
  }
  const ordered = [...signed].sort(([a], [b]) => compareStrings(a, b))
  const headerList = ordered.map(([name]) => name).join(';')
  const canonical = [
    method,
    textOf(escapedPath(target)),
    textOf(target.rawQuery),
    ...ordered.map(([name, value]) => `${name}:${value}`),
    '',
    headerList,
    contentHash,
  ].join('\n')
  const scope = `${date}/${region}/${service}/aws4_request`
  const toSign = `AWS4-HMAC-SHA256\n${time}\n${scope}\n${sha256(canonical)}`
  const key = [date, region, service, 'aws4_request'].reduce<string | Buffer>(
    (k, part) => hmac(k, part),
    `AWS4${secretKey}`,
  )
  const authorization = `AWS4-HMAC-SHA256 Credential=${accessKey}/${scope},SignedHeaders=${headerList},Signature=${hmac(key, toSign).toString('hex')}`
  const shown = Object.entries(headers).map(([name, value]) => [name, textOrNothing(value)] as const)
  return {
    ...request,
    headers: { ...Object.fromEntries(shown), Authorization: authorization, ...added },
  }
}

function own(from: RegoObject, name: string): RegoValue | undefined {
  return Object.hasOwn(from, name) ? from[name] : undefined
}

function optional<T>(value: RegoValue | undefined, read: (value: RegoValue) => T): T | undefined {
  return value === undefined ? undefined : read(value)
}

/** OPA takes what is no string for an empty one. */
function textOrNothing(value: RegoValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

function bodyOf(request: RegoObject): string {
  const [raw, body] = [own(request, 'raw_body'), own(request, 'body')]
  if (raw !== undefined) return textOrNothing(raw)
  return body === undefined ? '' : goJson(body)
}

function sha256(value: string): string {
  return createHash('sha256').update(value).digest('hex')
}

function hmac(key: string | Buffer, value: string): Buffer {
  return createHmac('sha256', key).update(value).digest()
}

function floorDiv(value: bigint, by: bigint): bigint {
  return value / by - (value % by < 0n ? 1n : 0n)
}

function int64(value: RegoValue | undefined): bigint {
  // Go reads its text, which may have no point and no exponent.
  if (value instanceof Decimal) throw new OperandError('not an integer')
  const found = bigInteger(value)
  if (BigInt.asIntN(64, found) !== found) throw new OperandError('not an integer of 64 bits')
  return found
}

/** `providers.aws.sign_req`. */
export const awsBuiltins: Family = {
  'providers.aws.sign_req': (_, request, config, timeNs) => {
    if (!isObject(request) || !isObject(config)) throw new OperandError('not an object')
    return signRequest(request, config, int64(timeNs))
  },
}
