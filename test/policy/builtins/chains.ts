import type { Test } from 'tap'
import { answersTo } from './against-opa.ts'
import { basicConstraints, identity, issue, pem, type Request } from './certificates.ts'

export const [root, middle, leaf, stranger] = ['root', 'middle', 'leaf', 'stranger'].map((name) =>
  identity(name),
) as [
  ReturnType<typeof identity>,
  ReturnType<typeof identity>,
  ReturnType<typeof identity>,
  ReturnType<typeof identity>,
]
export const ca = basicConstraints(true)

/** Root, one between, leaf; each may be made differently. */
export function chain(change: {
  readonly root?: Partial<Request>
  readonly middle?: Partial<Request>
  readonly leaf?: Partial<Request>
}): Buffer[] {
  return [
    issue({ subject: root, issuer: root, extensions: [ca], ...change.root }),
    issue({ subject: middle, issuer: root, extensions: [ca], ...change.middle }),
    issue({ subject: leaf, issuer: middle, ...change.leaf }),
  ]
}

/** What the chain is, its certificates, whether it is valid or undefined, and options of the verification in Rego. */
export type ChainCase = readonly [
  story: string,
  chain: readonly Buffer[],
  valid: boolean | undefined,
  options?: string,
]

/** Each is judged by us as by `opa eval`, with the same document, and as its row says. */
export async function judgeChains(t: Test, cases: readonly ChainCase[]): Promise<void> {
  const expressions = cases.map(([, certificates, , options]) => {
    const text = JSON.stringify(pem(...certificates))
    return options === undefined
      ? `crypto.x509.parse_and_verify_certificates(${text})`
      : `crypto.x509.parse_and_verify_certificates_with_options(${text}, ${options})`
  })
  const answers = await answersTo(expressions)
  for (const [index, { ours, theirs }] of answers.entries()) {
    const [story, , valid] = cases[index] as ChainCase
    t.equal(ours, theirs, story)
    t.equal(ours?.startsWith('[true'), valid, `${story}: ${valid}`)
  }
}
