import type { RegoValue } from '../../values/value.ts'
import type { Family } from '../builtin.ts'
import { succeeds, text } from '../operands.ts'
import { Decoder } from './decode.ts'
import { parseYaml } from './nodes.ts'
import { writeYaml } from './write.ts'

function unmarshal(source: string): RegoValue {
  return new Decoder().value(parseYaml(source))
}

/** `yaml.*`, which OPA takes from go-yaml v3. @see https://pkg.go.dev/go.yaml.in/yaml/v3 */
export const yamlBuiltins: Family = {
  'yaml.marshal': (_, value) => writeYaml(value as RegoValue),
  'yaml.unmarshal': (_, value) => unmarshal(text(value)),
  'yaml.is_valid': (_, value) => succeeds(() => unmarshal(text(value))),
}
