/** A number as the template has it: what kind it is shows in how it is written. */
export type NumberLiteral = bigint | { readonly float: number }

/** What can stand in a command. */
export type Operand =
  | { readonly kind: 'dot' }
  | { readonly kind: 'nil' }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'number'; readonly value: NumberLiteral }
  | { readonly kind: 'field'; readonly names: readonly string[] }
  | { readonly kind: 'variable'; readonly name: string; readonly names: readonly string[] }
  | { readonly kind: 'function'; readonly name: string }
  | { readonly kind: 'chain'; readonly base: Operand; readonly names: readonly string[] }
  | { readonly kind: 'pipeline'; readonly pipeline: Pipeline }

/** Commands of which each gets the value of the one before as its last argument. */
export interface Pipeline {
  readonly commands: readonly (readonly Operand[])[]
  readonly variables: readonly string[]
  readonly isAssignment: boolean
}

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly pipeline: Pipeline }
  | { readonly kind: 'break' | 'continue' }
  | {
      readonly kind: 'if' | 'with' | 'range'
      readonly pipeline: Pipeline
      readonly body: readonly Node[]
      readonly otherwise: readonly Node[] | undefined
    }
  | { readonly kind: 'template'; readonly name: string; readonly pipeline: Pipeline | undefined }

/** Of a text and of what it defines, by name; the text itself is called `template`. */
export type Templates = ReadonlyMap<string, readonly Node[]>
