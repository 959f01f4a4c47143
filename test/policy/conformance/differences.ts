/** An expression that OPA's interpreter and a module that OPA compiled answer differently, both told exactly. */
export interface Difference {
  readonly expression: string
  /** JSON of OPA's answer; `undefined` where it is undefined. */
  readonly opa: string | undefined
  /** JSON of the module's answer, `undefined` where it is undefined, or the words of its failure. */
  readonly wasm: string | undefined | { readonly fails: string }
}

const u = undefined
const noUint = { fails: 'strings: get uint failed' }

/**
 * What is compiled into the module and cannot be mended from outside of it, by reason. The generator leaves these forms out;
 * everything else has to be alike. One more is not asked, for it never ends: `replace` with an empty second operand.
 */
export const knownDifferences: ReadonlyMap<string, readonly Difference[]> = new Map([
  [
    'the module walks sets and objects in the order of its hash table, OPA in the order of Rego',
    [
      { expression: '[x | some x in {"c", "b", "a"}]', opa: '["a","b","c"]', wasm: '["c","b","a"]' },
      { expression: 'concat(",", {"c", "b", "a"})', opa: '"a,b,c"', wasm: '"c,b,a"' },
      {
        expression: '$"{{"c", "b", "a"}}"',
        opa: '"{\\"a\\", \\"b\\", \\"c\\"}"',
        wasm: '"{\\"c\\", \\"b\\", \\"a\\"}"',
      },
      {
        expression: 'json.marshal({"b": 1, "a": 2})',
        opa: '"{\\"a\\":2,\\"b\\":1}"',
        wasm: '"{\\"b\\":1,\\"a\\":2}"',
      },
    ],
  ],
  [
    'the module computes with decimals, OPA with binary floats of 64 bits',
    [
      { expression: '1/3', opa: '0.33333333333333333334', wasm: '0.333333333333333333' },
      { expression: '0.1 * 0.1', opa: '0.010000000000000000001', wasm: '0.01' },
      {
        expression: 'product([3.3, 9007199254740991])',
        opa: '29723757540645268',
        wasm: '29723757540645270.3',
      },
    ],
  ],
  [
    "OPA's floor and ceil are one too high between -1 and 0; the module's are right",
    [
      { expression: 'floor(-0.25)', opa: '0', wasm: '-1' },
      { expression: 'ceil(-0.25)', opa: '1', wasm: '0' },
    ],
  ],
  [
    'an integer written as a float is none to the module',
    [
      { expression: 'substring("abcdef", 1.0, 2)', opa: '"bc"', wasm: u },
      { expression: 'bits.and(5, 3.0)', opa: '1', wasm: u },
      { expression: 'array.slice([1, 2, 3], 1.0, 2)', opa: '[2]', wasm: u },
    ],
  ],
  [
    'format_int has 31 bits and 20 digits in the module, and ends the evaluation beyond',
    [
      {
        expression: 'format_int(2147483647, 2)',
        opa: '"1111111111111111111111111111111"',
        wasm: '"11111111111111111111"',
      },
      { expression: 'format_int(2147483648, 10)', opa: '"2147483648"', wasm: noUint },
    ],
  ],
  [
    "the module's JSON reader stops where a value ends, and its writer escapes less",
    [
      { expression: 'json.is_valid("1 2")', opa: 'false', wasm: 'true' },
      { expression: 'json.unmarshal("[1] x")', opa: u, wasm: '[1]' },
      { expression: 'json.unmarshal("10.0.0.1")', opa: u, wasm: '10.0' },
      { expression: 'json.marshal("<&>")', opa: '"\\"\\\\u003c\\\\u0026\\\\u003e\\""', wasm: '"\\"<&>\\""' },
      { expression: '$"{["\\u0001"]}"', opa: '"[\\"\\\\x01\\"]"', wasm: '"[\\"\\\\u0001\\"]"' },
      { expression: 'to_number(".")', opa: u, wasm: { fails: 'not a Rego value' } },
    ],
  ],
  [
    'base64 in the module wants padding nowhere and a character somewhere',
    [
      { expression: 'base64.decode("")', opa: '""', wasm: u },
      { expression: 'base64.is_valid("YQ")', opa: 'false', wasm: 'true' },
      { expression: 'base64.decode("YQ")', opa: u, wasm: '"a"' },
    ],
  ],
  [
    'a glob is a regular expression in the module, with what that means for a line break and signs of its own',
    [
      { expression: 'glob.match("$1", null, "$1")', opa: 'true', wasm: 'false' },
      { expression: 'glob.match("**", null, "a\\nb")', opa: 'true', wasm: 'false' },
      { expression: 'glob.match("a{", null, "a{")', opa: u, wasm: 'false' },
    ],
  ],
  [
    'NUL ends a regular expression in the module: beware of patterns that clients write',
    [{ expression: 'regex.match("\\u0000", "a")', opa: 'false', wasm: 'true' }],
  ],
  [
    'a string that is no UTF-8 has its bytes in OPA, and U+FFFD for each of them in the module',
    [{ expression: 'hex.encode(hex.decode("ff"))', opa: '"ff"', wasm: '"efbfbd"' }],
  ],
  [
    'an empty string is found at the start by the module, and is an error to OPA',
    [{ expression: 'indexof("abc", "")', opa: u, wasm: '0' }],
  ],
  [
    'the module traps where an object that json.remove or json.filter made had keys that are no strings',
    [
      {
        expression: 'object.keys(json.remove({"k": false, 1: false}, ["k", ""]))',
        opa: '[1]',
        wasm: { fails: 'memory access out of bounds' },
      },
    ],
  ],
])
