import { SluiceError } from '#base/errors.ts'
import type { RequestFacts } from '#decision/exchange.ts'
import { ownHeaderPrefix } from '#decision/own-headers.ts'
import { deny, type Refusal } from '#decision/verdict.ts'
import { type HeaderRule, headerRules } from './header-table.ts'

/** What a request's headers are found to be. */
export type HeaderFinding =
  /** Names of headers in which the client says what is ours to say, each once. */
  | { readonly kind: 'canonical'; readonly withheld: readonly string[] }
  | { readonly kind: 'refused'; readonly refusal: Refusal }

const none: readonly string[] = []
const nothingWithheld: HeaderFinding = { kind: 'canonical', withheld: none }

/** How many names are remembered that no rule is about. */
const maxRemembered = 1024
const maxRememberedBytes = 64
/** In how many places of the list. */
const maxPlaces = 64

/**
 * Judges headers: those that decide something are said once and in one form, names are what every reader takes them for,
 * and what only Sluice may say is found. Walks the list once, and looks at the bytes of a name only when it is new.
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
  const known = new Map<string, KnownName>()
  const learn = (name: string, rule: HeaderRule): KnownName => {
    // A copy: the name is a piece of the whole message's text, and would keep it.
    const each = { name: Buffer.from(name, 'latin1').toString('latin1'), rule }
    known.set(each.name, each)
    return each
  }
  const begin = () => {
    known.clear()
    for (const [name, rule] of headerRules) learn(name, rule)
  }
  begin()

  /** @returns why it is none, where it is no name that all readers take for the same. */
  const newName = (name: string): KnownName | string => {
    const fault = nameFault(name)
    if (fault !== undefined) return fault
    const isOurs = exact.has(name) || prefixes.some((prefix) => name.startsWith(prefix))
    const rule = isOurs ? withheldRule : plainRule
    if (name.length > maxRememberedBytes) return { name, rule }
    if (known.size >= headerRules.size + maxRemembered) begin()
    return learn(name, rule)
  }
  // Where the last request had which header: the next one mostly has it there too, and to compare is cheaper than to hash.
  const last: KnownName[] = []

  return (request) => {
    const names = request.headers.names()
    const values = request.headers.values()
    let seen = 0
    let withheld: string[] | undefined
    for (let i = 0; i < names.length; i++) {
      const name = names[i] as string
      let each = last[i]
      if (each === undefined || each.name !== name) {
        const found = known.get(name) ?? newName(name)
        if (typeof found === 'string') return refused(deny('header_not_canonical', `a name ${found}`))
        each = found
        if (i < maxPlaces && i <= last.length && name.length <= maxRememberedBytes) last[i] = each
      }
      const { rule } = each
      switch (rule.kind) {
        case 'plain':
          break
        case 'single': {
          if ((seen & rule.bit) !== 0) return refused(deny('header_duplicated', name))
          seen |= rule.bit
          const fault = rule.fault(values[i] as string)
          if (fault !== undefined) return refused(deny('header_not_canonical', `${name} ${fault}`))
          break
        }
        case 'withheld':
          withheld ??= []
          if (!withheld.includes(name)) withheld.push(name)
          break
        case 'refused':
          return refused(deny(rule.reason, `${name}: ${rule.why}`))
        default:
          rule satisfies never
      }
    }
    const fault = togetherFault(request, seen)
    if (fault !== undefined) return refused(fault)
    return withheld === undefined ? nothingWithheld : { kind: 'canonical', withheld }
  }
}

const withheldRule: HeaderRule = { kind: 'withheld' }
const plainRule: HeaderRule = { kind: 'plain' }

interface KnownName {
  readonly name: string
  readonly rule: HeaderRule
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
