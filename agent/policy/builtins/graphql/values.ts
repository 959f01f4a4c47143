import { OperandError } from '../operands.ts'
import { type Definition, type Type, type Value, valueKinds } from './ast.ts'

/** What is expected where a value stands. */
export interface Expected {
  readonly type: Type | undefined
  readonly definition: Definition | undefined
  readonly hasDefault: boolean
}

const scalars = new Set(['Int', 'Float', 'String', 'Boolean', 'ID'])

function must(isRight: boolean, why: string): void {
  if (!isRight) throw new OperandError(why)
}

/** Whether a literal is of the type that is expected. @throws OperandError */
export function checkValue(value: Value, { type, definition }: Expected): void {
  if (type === undefined || definition === undefined) return
  must(value.Kind !== valueKinds.null || !type.NonNull, 'null')
  // What a scalar of one's own takes nobody knows.
  if (definition.Kind === 'SCALAR' && !scalars.has(definition.Name)) return
  must(isRepresentable(value), 'a number too large')
  const isOneOf = (...names: readonly string[]) => must(names.includes(definition.Name), 'another type')
  switch (value.Kind) {
    case valueKinds.null:
    case valueKinds.variable:
      return
    case valueKinds.list:
      return must(type.Elem !== undefined, 'a list')
    case valueKinds.integer:
      return isOneOf('Int', 'Float', 'ID')
    case valueKinds.float:
      return isOneOf('Float')
    case valueKinds.string:
    case valueKinds.block:
      must(definition.Kind !== 'ENUM', 'a string for a name')
      return isOneOf('String', 'ID')
    case valueKinds.enum:
      return must(
        definition.Kind === 'ENUM' && definition.EnumValues.some(({ Name }) => Name === value.Raw),
        'no such value',
      )
    case valueKinds.boolean:
      return isOneOf('Boolean')
    default:
      checkObject(value, definition)
  }
}

function checkObject({ Children }: Value, { Fields, Directives }: Definition): void {
  const given = new Map(Children.map(({ Name, Value: value }) => [Name, value]))
  for (const { Name, Type: type, DefaultValue } of Fields)
    must(!type.NonNull || DefaultValue !== undefined || given.has(Name), 'a missing field')
  if (Directives.some(({ Name }) => Name === 'oneOf'))
    must(Children.length === 1 && Children[0]?.Value.Kind !== valueKinds.null, 'not exactly one field')
  const known = new Set(Fields.map(({ Name }) => Name))
  for (const name of given.keys()) must(known.has(name), 'an unknown field')
}

/** Whether Go's integers and floats hold it. */
function isRepresentable({ Kind, Raw, Children }: Value): boolean {
  if (Kind === valueKinds.integer) {
    const value = Raw.length > 25 ? 2n ** 64n : BigInt(Raw)
    return value >= -(2n ** 63n) && value < 2n ** 63n
  }
  if (Kind === valueKinds.float) return Number.isFinite(Number(Raw))
  return Children.every((child) => isRepresentable(child.Value))
}
