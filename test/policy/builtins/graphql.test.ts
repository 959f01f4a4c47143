import t from 'tap'
import { builtins } from '#policy/builtins/builtins.ts'
import type { RegoValue } from '#policy/values/value.ts'
import { rego, sameAsOpa } from './against-opa.ts'

const call = (name: string, ...operands: RegoValue[]) => builtins.get(name)?.({ nowNs: 0n }, ...operands)

const schema = `
"A pet" interface Pet { name: String! friends(first: Int = 3, after: ID): [Pet!] }
interface Being { name: String! }
type Dog implements Pet & Being { name: String! friends(first: Int = 3, after: ID): [Pet!] barks: Boolean @deprecated }
type Cat implements Pet { name: String! friends(first: Int = 3, after: ID): [Pet!] lives: Int meows: Boolean! }
type Stone { weight: Float }
union Thing = Dog | Stone
enum Color { RED GREEN }
input Filter { color: Color, tags: [String!], near: Point, must: Boolean! = true }
input Point { x: Float!, y: Float! }
input Choice @oneOf { a: Int, b: String }
scalar Date
directive @once(n: Int!) on FIELD
directive @often repeatable on FIELD | QUERY
type Query { pet(id: ID!): Pet dog: Dog cat: Cat thing: Thing list(filter: Filter): [Pet] choose(by: Choice): Int on(day: Date): String color(c: Color): Color }
type Mutation { rename(id: ID!, name: String!): Dog }
type Subscription { born: Dog died: Dog }
`

const queries = [
  '{ dog { name } }',
  'query { dog { name } }',
  'query A { dog { name } } query B { cat { name } }',
  'query A { dog { name } } query A { cat { name } }',
  '{ dog { name } } query B { cat { name } }',
  '{ dog }',
  '{ dog { name { x } } }',
  '{ dog { lives } }',
  '{ pet(id: 1) { name ... on Cat { lives } ... on Dog { barks } } }',
  '{ pet(id: 1) { ... on Stone { weight } } }',
  '{ pet { name } }',
  '{ pet(id: 1, no: 2) { name } }',
  '{ pet(id: 1, id: 2) { name } }',
  '{ pet(id: null) { name } }',
  '{ pet(id: "x") { name } }',
  '{ pet(id: 1.5) { name } }',
  '{ pet(id: RED) { name } }',
  '{ dog { friends(first: "x") { name } } }',
  '{ dog { friends(first: 99999999999999999999) { name } } }',
  '{ dog { friends(first: 3000000000) { name } } }',
  '{ dog { friends(first: null) { name } } }',
  '{ thing { ... on Dog { name } ... on Stone { weight } } }',
  '{ thing { name } }',
  '{ thing { __typename } }',
  '{ thing { ... on Cat { lives } } }',
  '{ thing { ... on Being { name } } }',
  '{ thing { ... on Color { x } } }',
  '{ thing { ... on Missing { x } } }',
  '{ thing { ... { __typename } } }',
  '{ list(filter: {color: RED, tags: ["a"], near: {x: 1, y: 2.5}}) { name } }',
  '{ list(filter: {color: BLUE}) { name } }',
  '{ list(filter: {color: "RED"}) { name } }',
  '{ list(filter: {tags: "a"}) { name } }',
  '{ list(filter: {tags: [null]}) { name } }',
  '{ list(filter: {near: {x: 1}}) { name } }',
  '{ list(filter: {near: {x: 1, y: 2, z: 3}}) { name } }',
  '{ list(filter: {color: RED, color: RED}) { name } }',
  '{ list(filter: []) { name } }',
  '{ list(filter: 5) { name } }',
  '{ choose(by: {a: 1}) }',
  '{ choose(by: {a: 1, b: "x"}) }',
  '{ choose(by: {a: null}) }',
  '{ choose(by: {}) }',
  'query Q($v: Int) { choose(by: {a: $v}) }',
  'query Q($v: Int!) { choose(by: {a: $v}) }',
  '{ on(day: {any: [thing, 1]}) }',
  '{ on(day: 99999999999999999999) }',
  '{ color(c: RED) }',
  '{ color(c: true) }',
  'query Q($id: ID!) { pet(id: $id) { name } }',
  'query Q($id: ID) { pet(id: $id) { name } }',
  'query Q($id: ID = 5) { pet(id: $id) { name } }',
  'query Q($id: ID = null) { pet(id: $id) { name } }',
  'query Q($id: Int!) { pet(id: $id) { name } }',
  'query Q($n: Int) { dog { friends(first: $n) { name } } }',
  'query Q($n: Int!) { dog { friends(first: $n) { name } } }',
  'query Q($n: [Int]) { dog { friends(first: $n) { name } } }',
  'query Q($t: [String!]) { list(filter: {tags: $t}) { name } }',
  'query Q($t: String!) { list(filter: {tags: [$t]}) { name } }',
  'query Q($t: String) { list(filter: {tags: [$t]}) { name } }',
  'query Q($x: Int) { dog { name } }',
  'query Q { pet(id: $x) { name } }',
  'query Q($x: ID!, $x: ID!) { pet(id: $x) { name } }',
  'query Q($x: Dog) { choose(by: $x) }',
  'query Q($x: Missing) { choose(by: $x) }',
  'query Q($x: Int = "s") { dog { friends(first: $x) { name } } }',
  'query Q($id: ID!) { ...F } fragment F on Query { pet(id: $id) { name } }',
  'query Q { ...F } fragment F on Query { pet(id: $id) { name } }',
  '{ dog { ...F } } fragment F on Dog { name }',
  '{ dog { name } } fragment F on Dog { name }',
  '{ dog { ...Missing } }',
  '{ dog { ...F } } fragment F on Dog { ...F }',
  '{ dog { ...F } } fragment F on Dog { ...G } fragment G on Dog { ...F name }',
  '{ dog { ...F } } fragment F on Cat { name }',
  '{ dog { ...F } } fragment F on Color { name }',
  '{ dog { ...F } } fragment F on Dog { name } fragment F on Dog { barks }',
  '{ dog { a: name a: barks } }',
  '{ dog { a: name a: name } }',
  '{ dog { friends(first: 1) { name } friends(first: 2) { name } } }',
  '{ dog { friends(first: 1, after: 2) { name } friends(after: 2, first: 1) { name } } }',
  '{ list(filter: {near: {x: 1, y: 2}}) { name } list(filter: {near: {y: 2, x: 1}}) { name } }',
  '{ pet(id: 1) { ... on Dog { a: name } ... on Cat { a: name } } }',
  '{ pet(id: 1) { ... on Dog { a: barks } ... on Cat { a: lives } } }',
  '{ pet(id: 1) { ... on Dog { a: barks } ... on Cat { a: meows } } }',
  '{ pet(id: 1) { ...A ...B } } fragment A on Pet { x: name } fragment B on Pet { x: friends { name } }',
  '{ dog { friends { a: name } ...A } } fragment A on Dog { friends { a: __typename } }',
  '{ dog @skip(if: true) { name @include(if: false) } }',
  '{ dog @skip { name } }',
  '{ dog @skip(if: 1) { name } }',
  '{ dog @missing { name } }',
  '{ dog @once(n: 1) @once(n: 2) { name } }',
  '{ dog @often @often { name } }',
  'query @often { dog { name } }',
  'query @once(n: 1) { dog { name } }',
  'query ($v: Boolean!) @skip(if: $v) { dog { name } }',
  '{ ... @defer(label: "x") { dog { name } } }',
  'mutation { rename(id: 1, name: "x") { name } }',
  'mutation { rename(id: 1) { name } }',
  'subscription { born { name } }',
  'subscription { born { name } died { name } }',
  'subscription { ...F } fragment F on Subscription { born { name } died { name } }',
  'subscription { __typename }',
  '{ __schema { types { name fields { name type { name } } } } }',
  '{ __schema { types { fields { type { fields { type { fields { name } } } } } } } }',
  '{ __type(name: "Dog") { kind possibleTypes { name } } }',
  '{ __type { kind } }',
  '{ dog { __schema { types { name } } } }',
  'fragment F on Dog { name }',
  '',
]

t.test('queries against a schema', async (t) => {
  await sameAsOpa(t, [
    ...queries.map((query) => `graphql.is_valid(${rego(query)}, ${rego(schema)})`),
    ...queries
      .slice(0, 12)
      .flatMap((query) => [
        `graphql.parse_and_verify(${rego(query)}, ${rego(schema)})`,
        `graphql.parse(${rego(query)}, ${rego(schema)})`,
        `graphql.is_valid(graphql.parse_query(${rego(query)}), graphql.parse_schema(${rego(schema)}))`,
        `graphql.parse(graphql.parse_query(${rego(query)}), graphql.parse_schema(${rego(schema)}))`,
      ]),
  ])
})

t.test('documents, comments and all', async (t) => {
  const documents = [
    '#one\n{ #two\n a(x: #three\n $y, z: #l\n [#m\n1 #n\n], w: {#o\n k: #p\n 1 #q\n}) #r\n ... #s\n F #t\n @d(#u\n a:1) ... on T #v\n {b #w\n} #x\n}\n#y\n query Q($v #z\n: Int = #aa\n 5) #bb\n @skip {c}\n#cc\nfragment F on T {d}\n#end',
    '{ a(s: "x\\u00e9\\n\\"", b: """\n  one\n    two\n\n  \\""" three\n""", i: -0, f: 1.5e+3, t: true, n: null, e: ENUM, v: $v, l: [], o: {}) }',
    'query Q($a: [Int!]! = [1], $b: T = {k: "v"} @d) { x: y @a @b(c: 1) { z } }',
    'fragment F($v: Int) on T { a }',
    '{ a(b: "\\ud83d\\ude00") }',
    '{ a(b: """x""""") }',
    '{ a(b: """""") }',
    '{ a(b: """\r\n x\r y\r\n""") }',
    '{ query { mutation fragment on } }',
    '{ on: fragment }',
    '{ ...on }',
    'fragment on on T { a }',
    '{ a(b: $c: 1) }',
    '{ a() }',
    '{ }',
    '{ a { } }',
    '{ a',
    '{ a(b: 01) }',
    '{ a(b: 1.) }',
    '{ a(b: .5) }',
    '{ a(b: 1e) }',
    '{ a(b: -) }',
    '{ a(b: 1a) }',
    '{ a(b: "x\ny") }',
    '{ a(b: "\\x") }',
    "{ a(b: 'x') }",
    '{ a ? }',
    '{ é }',
    '\ufeff{ a }',
    '{ a, b,,, c }',
    'query Q(a: Int) { b }',
    'query Q($a Int) { b }',
    'query Q($a: Int = $b) { b }',
    'foo { a }',
    '{ a } { b }',
    '# only a comment',
  ]
  const schemas = [
    schema,
    '#a\n"d" #b\ntype #c\nT #d\n implements #e\n & A & B @x { #f\n "fd" #g\n f #h\n (#i\n "ad" a: Int = 5 @y) : [T!]! @z #j\n } #k\n',
    '"""\n block\n   description\n""" scalar S @specifiedBy(url: "u") union U = | A | B union V enum E { "v" A @d B } input I { a: Int = 1, b: [I] } interface J implements K { x: Int }',
    'schema @d { query: Q mutation: M } extend schema @e extend type T { a: Int } extend scalar S @d extend interface I @d extend union U = A extend enum E { X } extend input N { a: Int }',
    'directive @a("x" b: Int = 1) repeatable on | FIELD | QUERY directive @c on OBJECT',
    'extend type T',
    '"x" extend type T { a: Int }',
    'type T { }',
    'type T',
    'type T implements { a: Int }',
    'enum E { true }',
    'enum E {}',
    'directive @a on NOWHERE',
    'directive a on FIELD',
    'type T { a(b: Int = $c): Int }',
    'type T { a Int }',
    'schema { foo: Bar }',
    'schema { query: Q',
    'foo T',
    '',
  ]
  await sameAsOpa(t, [
    ...documents.map((document) => `graphql.parse_query(${rego(document)})`),
    ...schemas.flatMap((document) => [
      `graphql.parse_schema(${rego(document)})`,
      `graphql.schema_is_valid(${rego(document)})`,
    ]),
  ])
})

t.test('schemas that make sense, or not', async (t) => {
  const schemas = [
    'type Query { a: Int }',
    'type Query { a: Missing }',
    'type Query { a: Int a: Int }',
    'type Query { __a: Int }',
    'type __T { a: Int }',
    'type Query { a: Int } type Query { b: Int }',
    'type Int { a: String }',
    'type Query { a: I } input I { b: Int }',
    'type Query { a(b: Query): Int }',
    'type Query { a(__b: Int): Int }',
    'input I { a: Query } type Query { b: Int }',
    'input I { a: I! }',
    'input I { a: I }',
    'input I { a: J! } input J { b: I! }',
    'input I { a: [I!]! }',
    'interface I { a: Int } type T implements I { a: Int }',
    'interface I { a: Int } type T implements I { b: Int }',
    'interface I { a: Int } type T implements I { a: Int! }',
    'interface I { a: Int! } type T implements I { a: Int }',
    'interface I { a: I } type T implements I { a: T }',
    'interface I { a(x: Int): Int } type T implements I { a: Int }',
    'interface I { a(x: Int): Int } type T implements I { a(x: Int, y: Int!): Int }',
    'interface I { a(x: Int): Int } type T implements I { a(x: Int, y: Int! = 1): Int }',
    'interface I { a(x: Int): Int } type T implements I { a(x: String): Int }',
    'interface I { a: Int } interface J implements I { a: Int } type T implements J { a: Int }',
    'interface I { a: Int } interface J implements I { a: Int } type T implements J & I { a: Int }',
    'type T implements Missing { a: Int }',
    'type A { a: Int } type T implements A { a: Int }',
    'union U = A type A { a: Int }',
    'union U = A | A type A { a: Int }',
    'union U = Int',
    'enum E { A A }',
    'enum E { A }',
    'directive @d on FIELD directive @d on FIELD',
    'directive @skip on FIELD',
    'directive @d(a: Int @d) on ARGUMENT_DEFINITION',
    'directive @__d on FIELD',
    'directive @d(a: Int!) on OBJECT type T @d { a: Int }',
    'directive @d(a: Int!) on OBJECT type T @d(a: null) { a: Int }',
    'directive @d(a: Int!) on OBJECT type T @d(a: 1, b: 2) { a: Int }',
    'directive @d on FIELD type T @d { a: Int }',
    'directive @d on OBJECT type T @d @d { a: Int }',
    'directive @d on FIELD_DEFINITION type T { a: Int @d @d }',
    'type T @missing { a: Int }',
    'schema { query: Missing }',
    'schema { query: Q } type Q { a: Int }',
    'schema { query: Q } schema { query: Q } type Q { a: Int }',
    'extend type T { a: Int }',
    'type T { a: Int } extend interface T { b: Int }',
    'type T { a: Int } extend type T { a: Int }',
    'extend schema { query: Q } type Q { a: Int }',
    '',
  ]
  await sameAsOpa(
    t,
    schemas.map((each) => `graphql.schema_is_valid(${rego(each)})`),
  )
})

t.test('hostile documents end in time', async (t) => {
  const small = 'type Query { a: Query b: Int }'
  const doubling = `{ ...F0 } ${Array.from({ length: 40 }, (_, i) => `fragment F${i} on Query { x: a { ...F${i + 1} } y: a { ...F${i + 1} } }`).join(' ')} fragment F40 on Query { b }`
  const hostile = [
    `${'{ a '.repeat(50_000)}`,
    `{ a(b: ${'['.repeat(50_000)}`,
    `query Q($v: ${'['.repeat(50_000)}`,
    `{ a(b: "${'x'.repeat(100_000)}`,
    `{ a(b: """${'"'.repeat(100_001)}`,
    `{ ${'b '.repeat(20_000)} }`,
    `${Array.from({ length: 3000 }, (_, i) => `query Q${i} { ...F }`).join(' ')} fragment F on Query { ${'b '.repeat(3000)} }`,
  ]
  for (const query of hostile) t.equal(call('graphql.is_valid', query, small), false, query.slice(0, 30))
  t.type(call('graphql.is_valid', doubling, small), 'boolean')
  t.equal(call('graphql.schema_is_valid', `type T { a: ${'['.repeat(50_000)}`), false)
  t.equal(call('graphql.is_valid', '{ __proto__ constructor }', small), false)
})
