import { regoText } from '../values/rego-text.ts'
import type { RegoValue } from '../values/value.ts'
import { awsBuiltins } from './aws.ts'
import type { Builtin, EvaluationContext } from './builtin.ts'
import { collectionBuiltins } from './collections.ts'
import { encodingBuiltins } from './encoding.ts'
import { globBuiltins } from './globs.ts'
import { graphBuiltins } from './graph.ts'
import { graphqlBuiltins } from './graphql/graphql.ts'
import { hashBuiltins } from './hash.ts'
import { jsonBuiltins } from './json.ts'
import { jsonPatchBuiltins } from './json-patch.ts'
import { jsonSchemaBuiltins } from './json-schema/json-schema.ts'
import { jwtBuiltins } from './jwt.ts'
import { networkBuiltins } from './network.ts'
import { numberBuiltins } from './numbers.ts'
import { regexBuiltins } from './regex.ts'
import { stringBuiltins } from './strings.ts'
import { templateBuiltins } from './template/template.ts'
import { timeBuiltins } from './time.ts'
import { uriBuiltins } from './uri.ts'
import { uuidBuiltins } from './uuid.ts'
import { versionBuiltins } from './versions.ts'
import { x509Builtins } from './x509.ts'
import { yamlBuiltins } from './yaml/yaml.ts'

/** Everything the host gives a policy beyond what is compiled into the wasm module. */
export const builtins: ReadonlyMap<string, Builtin> = new Map<string, Builtin>([
  ...Object.entries(jwtBuiltins),
  ...Object.entries(timeBuiltins),
  ...Object.entries(numberBuiltins),
  ...Object.entries(networkBuiltins),
  ...Object.entries(versionBuiltins),
  ...Object.entries(uuidBuiltins),
  ...Object.entries(stringBuiltins),
  ...Object.entries(regexBuiltins),
  ...Object.entries(hashBuiltins),
  ...Object.entries(encodingBuiltins),
  ...Object.entries(x509Builtins),
  ...Object.entries(awsBuiltins),
  ...Object.entries(collectionBuiltins),
  ...Object.entries(globBuiltins),
  ...Object.entries(graphBuiltins),
  ...Object.entries(graphqlBuiltins),
  ...Object.entries(jsonBuiltins),
  ...Object.entries(jsonPatchBuiltins),
  ...Object.entries(jsonSchemaBuiltins),
  ...Object.entries(templateBuiltins),
  ...Object.entries(uriBuiltins),
  ...Object.entries(yamlBuiltins),
])

/** What will never run on the request's way, and what to do instead. */
export const refusedBuiltins: ReadonlyMap<string, string> = new Map([
  ['http.send', "put what it would fetch into the bundle's data"],
  ['net.lookup_ip_addr', "put the addresses into the bundle's data"],
  ['rego.parse_module', "parse it before, and put what it says into the bundle's data"],
])

/** Whose answer is not a function of their operands alone: a decision can only be repeated with what they said. */
export const nondeterministicBuiltins: ReadonlySet<string> = new Set([
  'io.jwt.decode_verify',
  'io.jwt.encode_sign',
  'io.jwt.encode_sign_raw',
  // Marked so by OPA, whose schemas may lead to the network.
  'json.match_schema',
  'json.verify_schema',
  'opa.runtime',
  'rand.intn',
  'time.now_ns',
  'uuid.rfc4122',
])

/** Writes down what such a builtin said, where the evaluation wants to know. */
export function recordCall(
  { recorded }: EvaluationContext,
  name: string,
  operands: readonly RegoValue[],
  result: RegoValue,
): void {
  if (recorded === undefined) return
  let calls = recorded.get(name)
  if (calls === undefined) {
    calls = new Map()
    recorded.set(name, calls)
  }
  calls.set(regoText(operands), result)
}
