import type { EvaluationContext } from '../builtins/builtin.ts'
import { builtins, nondeterministicBuiltins, recordCall } from '../builtins/builtins.ts'
import { parseRegoText, regoText, stringText } from '../values/rego-text.ts'
import type { ModuleMemory } from './memory.ts'

/** What of the module the bridge calls. */
export interface BridgeExports {
  readonly opa_malloc: (size: number) => number
  readonly opa_value_parse: (address: number, length: number) => number
  readonly opa_value_dump: (address: number) => number
}

/**
 * Calls a host function for the module: operands and result cross as Rego text, which keeps sets, keys of any type and
 * every digit.
 *
 * @returns the address of the result; 0, the runtime's "undefined", where the builtin failed: an error of one call must
 *   not end the evaluation.
 */
export function callBuiltin(
  memory: ModuleMemory,
  exports: BridgeExports,
  name: string,
  context: EvaluationContext,
  addresses: readonly number[],
): number {
  const builtin = builtins.get(name)
  if (builtin === undefined) throw new Error(`no builtin ${name}`)
  let text: string
  try {
    const operands = addresses.map((each) => parseRegoText(memory.textAt(exports.opa_value_dump(each))))
    const isNondeterministic = nondeterministicBuiltins.has(name)
    const known = isNondeterministic ? context.answer?.(name, operands) : undefined
    const result = known ?? builtin(context, ...operands)
    if (result === undefined) return 0
    if (isNondeterministic) recordCall(context, name, operands, result)
    text = typeof result === 'string' ? stringText(result) : regoText(result)
  } catch {
    // Whatever the operands were, OPA calls it undefined; a policy that wants to know asks for the type first.
    return 0
  }
  // Not yet written when the size is asked for: the runtime must know the block first.
  const length = Buffer.byteLength(text)
  const address = exports.opa_malloc(length)
  memory.write(text, address)
  return exports.opa_value_parse(address, length)
}
