import { MalformedError } from '#base/malformed.ts'
import { constructed, type DerReader, tags } from '#crypto/der.ts'
import type { AltName } from './certificate.ts'

/** Names by context tag that a CA permits and excludes below it. */
export interface NameConstraints {
  readonly permitted: readonly AltName[]
  readonly excluded: readonly AltName[]
}

const uri = 6

/** @throws MalformedError @see RFC 5280, 4.2.1.10 */
export function parseNameConstraints(value: DerReader): NameConstraints {
  const fields = value.inside(tags.sequence)
  const [permitted, excluded] = [
    subtrees(fields.optional(constructed(0))),
    subtrees(fields.optional(constructed(1))),
  ]
  if (!fields.isEmpty || permitted.length + excluded.length === 0)
    throw new MalformedError('name constraints that are none')
  return { permitted, excluded }
}

function subtrees(list: DerReader | undefined): AltName[] {
  const found: AltName[] = []
  while (list?.isEmpty === false) {
    const subtree = list.inside(tags.sequence)
    const { tag, contents } = subtree.any()
    // A minimum other than 0, or a maximum, is forbidden.
    if (!subtree.isEmpty) throw new MalformedError('a name constraint with bounds')
    found.push({ tag: tag & 0x1f, text: contents.toString('latin1') })
  }
  return found
}

/**
 * Whether names may stand below a CA with these constraints; `undefined` when they may, or why not. Constraints of URIs,
 * by their host, are evaluated: they are the ones that bound a trust domain. A name of any other type that is constrained
 * is refused rather than judged.
 */
export function constraintFault(
  { permitted, excluded }: NameConstraints,
  names: readonly AltName[],
): string | undefined {
  for (const name of names) {
    const allow = permitted.filter(({ tag }) => tag === name.tag)
    const refuse = excluded.filter(({ tag }) => tag === name.tag)
    if (allow.length + refuse.length === 0) continue
    if (name.tag !== uri) return 'a CA constrains names of a type that is not judged here'
    const host = /^[a-z][a-z0-9+.-]*:\/\/([^/?#:@]+)(?:[/?#]|$)/i.exec(name.text)?.[1]
    if (host === undefined) return 'a CA constrains URIs, and one has no host'
    if (refuse.some(({ text }) => isWithin(host, text))) return 'the URI is excluded by a CA'
    if (allow.length > 0 && !allow.some(({ text }) => isWithin(host, text)))
      return 'the URI is not permitted by a CA'
  }
  return undefined
}

/** A constraint that begins with a dot is for every host below it, any other for that host alone. */
function isWithin(host: string, constraint: string): boolean {
  const [name, bound] = [host.toLowerCase(), constraint.toLowerCase()]
  return bound.startsWith('.') ? name.endsWith(bound) && name.length > bound.length : name === bound
}
