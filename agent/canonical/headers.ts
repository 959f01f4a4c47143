import { SluiceError } from '#base/errors.ts'
import type { RequestFacts } from '#decision/exchange.ts'
import { ownHeaderPrefix } from '#decision/own-headers.ts'
import { deny, type Refusal } from '#decision/verdict.ts'
import { headerRules } from './header-table.ts'

/** What a request's headers are found to be. */
export type HeaderFinding =
  /** Names of headers in which the client says what is ours to say, each once. */
  | { readonly kind: 'canonical'; readonly withheld: readonly string[] }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

const none: readonly string[] = []
const nothingWithheld: HeaderFinding = { kind: 'canonical', withheld: none }

/**
 * Judges headers: those that decide something are said once and in one form, names are what every reader takes them for,
 * and what only Sluice may say is found. Walks the list once (`bench -- canonical`).
 *
 * @param tenantHeaders names in lower case; one that ends in `*` stands for all that begin so
 * @throws SluiceError for one by which something else is decided.
 */
export function createHeaderJudge(
  tenantHeaders: readonly string[],
): (request: RequestFacts) => HeaderFinding {
  for (const name of tenantHeaders) checkTenantHeader(name)
  const exact = new Set(tenantHeaders.filter((name) => !name.endsWith('*')))
  const prefixes = [
    ownHeaderPrefix,
    ...tenantHeaders.filter((name) => name.endsWith('*')).map((name) => name.slice(0, -1)),
  ]
  const isOurs = (name: string) => {
    for (let i = 0; i < prefixes.length; i++) if (name.startsWith(prefixes[i] as string)) return true
    return exact.has(name)
  }

  return (request) => {
    const names = request.headers.names()
    const values = request.headers.values()
    let seen = 0
    let withheld: string[] | undefined
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as string
      const rule = headerRules.get(name)
      if (rule === undefined) {
        const fault = nameFault(name)
        if (fault !== undefined) return refused(deny('header_not_canonical', `a name ${fault}`))
        if (isOurs(name)) {
          withheld ??= []
          if (!withheld.includes(name)) withheld.push(name)
        } else if (name === 'connection' && nominates(values[i] as string))
          return refused(deny('header_not_canonical', 'connection names other headers'))
        continue
      }
      if (rule.kind === 'refused') return refused(deny(rule.reason, `${name}: ${rule.why}`))
      if ((seen & rule.bit) !== 0) return refused(deny('header_duplicated', name))
      seen |= rule.bit
      const fault = rule.fault(values[i] as string)
      if (fault !== undefined) return refused(deny('header_not_canonical', `${name} ${fault}`))
    }
    const fault = togetherFault(request, seen)
    if (fault !== undefined) return refused(fault)
    return withheld === undefined ? nothingWithheld : { kind: 'canonical', withheld }
  }
}

function checkTenantHeader(text: string): void {
  const isMeant = text.endsWith('*')
    ? (name: string) => name.startsWith(text.slice(0, -1))
    : (name: string) => name === text
  const ruled = [...headerRules.keys()].find(isMeant)
  if (ruled !== undefined)
    throw new SluiceError({
      code: 'tenant_header_invalid',
      place: 'identity.tenantHeaders',
      found: `${text}, which means ${ruled}`,
      expected: 'a header that decides nothing else',
    })
}

function refused(refusal: Refusal): HeaderFinding {
  return { kind: 'refused', refusal }
}

const bitOf = (name: string): number => {
  const rule = headerRules.get(name)
  return rule?.kind === 'single' ? rule.bit : 0
}
const bits = {
  host: bitOf('host'),
  length: bitOf('content-length'),
  coding: bitOf('transfer-encoding'),
  cut: bitOf('x-envoy-auth-partial-body'),
}

/** What each of the headers may say, and all of them together may not. */
function togetherFault(request: RequestFacts, seen: number): Refusal | undefined {
  if ((seen & bits.coding) !== 0 && (seen & bits.length) !== 0)
    return deny('header_not_canonical', 'content-length beside transfer-encoding')
  if ((seen & bits.host) !== 0 && request.headers.single('host') !== request.authority)
    return deny('host_not_canonical', 'host is not :authority')
  // Envoy's own word on a body that it cut for ext_authz; in ext_proc only a client can say it.
  if ((seen & bits.cut) !== 0 && request.api === 'ext_proc')
    return deny('header_not_canonical', 'x-envoy-auth-partial-body: an order to Sluice')
  return undefined
}

/** A table of what a name may have: letters, digits, `-` and other token characters; `_` is `-` to many servers. */
const isNameByte = new Uint8Array(128)
for (const character of "abcdefghijklmnopqrstuvwxyz0123456789-!#$%&'*+.^`|~")
  isNameByte[character.charCodeAt(0)] = 1

function nameFault(name: string): string | undefined {
  for (let i = 0; i < name.length; i++) {
    const code = name.charCodeAt(i)
    if (isNameByte[code] !== 1) return code === 0x5f ? 'has an underscore' : 'has a byte that no name has'
  }
  return name === '' ? 'is empty' : undefined
}

/** Whether `connection` has hop-by-hop readers drop a header that others have judged by. */
function nominates(value: string): boolean {
  const option = value.toLowerCase()
  return option !== 'close' && option !== 'keep-alive'
}
