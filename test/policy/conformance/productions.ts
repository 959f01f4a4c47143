import type { Generator } from './generator.ts'

/** An expression of some type; `left` is how deep its parts may nest. */
export type Production = (g: Generator, left: number) => string

type Part =
  | 'small'
  | 'whole'
  | 'text'
  | 'number'
  | 'string'
  | 'boolean'
  | 'array'
  | 'set'
  | 'object'
  | 'collection'
  | 'any'

/** One a line; `«string»` stands for any expression of that type, `«a¦b»` for one of these words. */
function templates(text: string): Production[] {
  const lines = text.trim().split('\n')
  return lines.map((line) => {
    const parts = line.trim().split(/«([^»]+)»/)
    return (g, left) =>
      parts
        .map((part, index) => {
          if (index % 2 === 0) return part
          return part.includes('¦') ? g.random.pick(part.split('¦')) : g[part as Part](left)
        })
        .join('')
  })
}

const infix =
  (part: Part, operators: readonly string[]): Production =>
  (g, left) =>
    `(${g[part](left)} ${g.random.pick(operators)} ${g[part](left)})`

/** `[head | some k, v in …; guard]`, with both variables in scope of head and guard. */
const comprehension =
  (open: string, close: string, over: 'array' | 'collection', head: Production): Production =>
  (g, left) => {
    const [key, value] = [g.fresh(), g.fresh()]
    const source = `some ${key}, ${value} in ${g[over](left)}`
    return g.within([key, value], () => {
      const guard = g.random.below(2) === 0 ? '' : `; ${g.boolean(left - 1)}`
      return `${open}${head(g, left)} | ${source}${guard}${close}`
    })
  }

/** Where both compute exactly: beyond, the module rounds later than OPA does. */
export const smalls: readonly Production[] = [
  infix('small', ['+', '-']),
  infix('whole', ['+', '-', '*', '%']),
  ...templates(`
    count(«collection»)
    count(«string»)
    abs(«small»)
    round(«small»)
    «ceil¦floor»(«whole»)
  `),
]

export const numbers: readonly Production[] = [
  (g, left) => g.small(left),
  ...templates(`
    count(«collection»)
    count(«string»)
    sum([«small», «small»])
    sum({«small», 1, 2.5})
    product([«whole», «whole»])
    max([«number», «number»])
    to_number(«"1e3"¦"-5"¦"1.50"¦"x"¦""¦true¦null»)
    indexof(«string», «text»)
    strings.count(«string», «string»)
    bits.«and¦or¦xor»(«small», «small»)
    bits.negate(«small»)
    bits.«lsh¦rsh»(«small», «0¦1¦5»)
    units.«parse¦parse_bytes»(«string»)
    time.parse_rfc3339_ns(«string»)
    time.parse_duration_ns(«string»)
    time.add_date(«number», 1, -2, 3)
    object.get(«object», "k", «number»)
  `),
]

export const strings: readonly Production[] = [
  ...templates(`
    sprintf("%v %v", [«any», «any»])
    sprintf(«string», [«any»])
    sprintf("«%d¦%5d¦%-6d¦%+d¦%x¦%X¦%o¦%b¦%c¦%q¦%U¦%e¦%g¦%f¦%.2f¦%8.3f¦%+.1e¦%s¦%10s¦%-10s¦%t¦%T¦%05d¦%#x¦%%¦%!¦%[2]v¦%*d»|", [«number»])
    sprintf("«%s¦%q¦%x¦%X¦%v¦%+q¦%#q¦%.3s¦%8s¦%-8s¦%d¦%T¦% x¦%#v»|", [«string»])
    sprintf("«%s¦%q¦%v¦%d¦%5v¦%T»|", [«any»])
    concat(«string», [«string», «string»])
    concat(«string», {«string»})
    «lower¦upper¦trim_space¦strings.reverse»(«string»)
    «trim¦trim_left¦trim_right¦trim_prefix¦trim_suffix»(«string», «string»)
    replace(«string», "«a¦,¦é¦%¦😀»", «string»)
    strings.replace_n({«string»: «string», «string»: «string»}, «string»)
    substring(«string», «0¦1¦2¦3», «-1¦0¦1¦2¦5»)
    format_int(«0¦-694¦1.5¦2147483647¦-2147483647», «8¦10¦16»)
    json.marshal([«small», "a\\"b", null])
    json.marshal({"k": «small»})
    «base64.encode¦base64url.encode¦base64url.encode_no_pad¦hex.encode¦urlquery.encode¦crypto.sha256¦crypto.md5»(«string»)
    hex.decode(hex.encode(«string»))
    hex.decode(«"68656C"¦"686"¦"zz"»)
    urlquery.decode(urlquery.encode(«string»))
    urlquery.decode(«text»)
    base64.decode(base64.encode(concat("x", ["", «string»])))
    base64url.decode(base64url.encode_no_pad(concat("x", ["", «string»])))
    urlquery.encode_object({«string»: «string», "k": [«string», «string»]})
    urlquery.encode_object(input.o)
    regex.replace(«string», «string», «string»)
    regex.replace(«string», "«a¦[a-c]+¦b*¦(.)b¦\\\\d¦^¦$¦\\\\.»", «string»)
    type_name(«any»)
    time.format(«number»)
    $"{«whole»} and {«text»} or {input.s}"
    object.get(«object», «string», «string»)
  `),
]

export const booleans: readonly Production[] = [
  infix('any', ['<', '<=', '>', '>=']),
  infix('number', ['==', '!=', '<', '<=', '>', '>=']),
  infix('string', ['==', '!=', '<', '<=', '>', '>=']),
  ...templates(`
    (input.«a¦b¦n¦s» «==¦!=» «any»)
    («any» in «collection»)
    («any», «any» in «collection»)
    «contains¦startswith¦endswith»(«string», «string»)
    strings.«any_prefix_match¦any_suffix_match»([«string», «string»], {«string», «string»})
    regex.match(«pattern», «string»)
    regex.match("«a¦[a-c]+$¦^b*¦(?i)ABC¦\\\\w+¦\\\\p{L}¦.»", «string»)
    regex.is_valid(«pattern»)
    glob.match("«a*¦**.b¦{a,b}c¦[a-c]?¦*.*»", «[]¦["."]¦null», "«abc¦a.b¦ac¦b¦a.b.c»")
    «is_string¦is_number¦is_boolean¦is_array¦is_set¦is_object¦is_null»(«any»)
    net.cidr_contains(«string», «string»)
    net.cidr_is_valid(«string»)
    semver.is_valid(«any»)
    json.is_valid(«"[1, 2]"¦"{}"¦"tru"¦"[1,"¦"1.5"»)
    base64.is_valid(«"a"¦"YQ=="¦"-_"»)
    object.get(«object», «any», false)
  `),
]

export const arrays: readonly Production[] = [
  comprehension('[', ']', 'array', (g, left) => g.any(left - 1)),
  ...templates(`
    [«any», «any»]
    array.concat(«array», «array»)
    array.slice(«array», «-1¦0¦1», «0¦1¦2¦3»)
    array.reverse(«array»)
    split(«string», «string»)
    strings.split_n(«string», «string», «-1¦0¦1¦2»)
    sort(«array»)
    sort(«set»)
    numbers.range(«-1¦0¦3», «0¦2¦5»)
    numbers.range_step(«-3¦0¦12», 10, «1¦2¦3»)
    regex.split(«string», «string»)
    regex.split("«a¦b*¦,¦(x)»", «string»)
    regex.find_n(«string», «string», «-1¦0¦1»)
    regex.find_n("«a¦b*¦.¦[^a]»", «string», «-1¦1¦2»)
    regex.find_all_string_submatch_n("«(a)(b)?¦(.)¦b*»", «string», «-1¦1»)
    indexof_n(«string», «string»)
    json.unmarshal(json.marshal([«text», «whole», [«text»]]))
    [x | walk([«small», [«string», [«small»]]], [_, x])]
    time.«date¦clock»(«number»)
    object.get(«object», "k", «array»)
  `),
]

export const sets: readonly Production[] = [
  comprehension('{', '}', 'collection', (g, left) => g.any(left - 1)),
  infix('set', ['|', '&', '-']),
  ...templates(`
    {«any», «any»}
    {«string», «number»}
    union({«set», «set»})
    intersection({«set», «set»})
    object.keys(«object»)
    net.cidr_expand(«string»)
    net.cidr_merge([«string», «string»])
    net.cidr_merge(input.l)
    net.cidr_contains_matches(«string», [«string», «string»])
    graph.reachable({"a": ["b", "c"], "b": «array»}, ["a"])
  `),
]

export const objects: readonly Production[] = [
  comprehension(
    '{',
    '}',
    'collection',
    (g, left) => `${g.random.pick(['input.a', '"k"', g.string(left - 1)])}: 1`,
  ),
  ...templates(`
    {«string»: «any», "k": «any»}
    {«any»: «any»}
    object.union(«object», «object»)
    object.union_n([«object», «object»])
    object.remove(«object», [«any», "k"])
    object.filter(«object», ["k", «string»])
    json.filter({«string»: «any», "k": {«string»: «any»}}, ["k", «text», "k/a"])
    json.remove({«string»: «any», "k": {"a": «any»}}, ["k/a", «text»])
    json.unmarshal(json.marshal({"k": [«text»], «text»: «whole»}))
    json.unmarshal(«"{\\"a\\": 1.0}"¦"null"¦"tru"¦"[1,"¦"{\\"a\\": [1e2, 2.50]}"»)
    urlquery.decode_object(«text»)
    {x: y | some x, y in «array»}
  `),
]
