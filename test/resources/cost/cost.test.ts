import t from 'tap'
import { type CostNumber, costNumbers, parseCost } from '#resources/cost/cost.ts'
import fc from '../../fast-check.ts'

const facts = (
  numbers: Partial<Record<CostNumber, number>>,
  texts: { readonly model?: string; readonly version?: string; readonly tenant?: string } = {},
) => ({ number: (name: CostNumber) => numbers[name] ?? 0, text: (name: keyof typeof texts) => texts[name] })

const usual = facts(
  { requests: 1, input_tokens: 10, output_tokens: 7, tokens: 17, cached_input_tokens: 4, bytes: 1000 },
  { model: 'llama-70b', tenant: 'acme' },
)

t.test('an expression is arithmetic over what the call took', async (t) => {
  const rows: readonly (readonly [text: string, value: number | undefined])[] = [
    ['1', 1],
    ['input_tokens + 3 * output_tokens', 31],
    ['(input_tokens + 3) * output_tokens', 91],
    ['10 - 3 - 2', 5],
    ['12 / 3 / 2', 2],
    ['2 * 3 + 4 * 5', 26],
    ['input_tokens - cached_input_tokens + cached_input_tokens * 0.1', 7],
    ['bytes / 300', 4],
    ['floor(bytes / 300)', 3],
    ['ceil(0.2) + floor(1.9)', 2],
    ['min(input_tokens, output_tokens, 3)', 3],
    ['max(input_tokens, 12)', 12],
    ['input_tokens > 5 ? 2 : 1', 2],
    ['input_tokens >= 10 ? input_tokens == 10 ? 5 : 6 : 7', 5],
    ['input_tokens < 5 ? 1 : input_tokens < 50 ? 2 : 3', 2],
    ['model == "llama-70b" ? 10 : 1', 10],
    ['"llama-70b" != model ? 10 : 1', 1],
    ['tenant == "acme" ? 0 : 1', 0],
    ['--3', 3],
    ['3 - -2', 5],
    ['-(2 - 5)', 3],
    ['0 - 0', 0],
    ['0.0001', 1],
    ['-1', undefined],
    ['-0.3', undefined],
    ['1 / 0', undefined],
    ['0 / 0', undefined],
    ['1 / (gpu_ms - 0)', undefined],
    ['9007199254740991', 9007199254740991],
    ['9007199254740992', undefined],
    ['9007199254740991 * bytes', undefined],
  ]
  for (const [text, value] of rows) {
    const parsed = parseCost(text)
    t.ok(parsed.ok, text)
    if (parsed.ok) t.equal(parsed.cost.evaluate(usual), value, text)
  }
})

t.test('where a text is not known the dearer branch counts', async (t) => {
  const rows: readonly (readonly [string, number])[] = [
    ['version == "2" ? 1 : 5', 5],
    ['version == "2" ? 5 : 1', 5],
    ['version != "2" ? 5 : 1', 5],
    ['version == "2" ? model == "llama-70b" ? 9 : 1 : 5', 9],
  ]
  for (const [text, value] of rows) {
    const parsed = parseCost(text)
    t.equal(parsed.ok && parsed.cost.evaluate(usual), value, text)
  }
})

t.test('an expression says what it reads', async (t) => {
  const parsed = parseCost('model == "a" ? input_tokens : max(gpu_ms, 3)')
  t.same(parsed.ok && [...parsed.cost.reads].sort(), ['gpu_ms', 'input_tokens'])
})

t.test('what is no expression is told with its place', async (t) => {
  const rows: readonly (readonly [text: string, at: number, expected: RegExp])[] = [
    ['', 1, /a number, a name/],
    ['1 +', 4, /a number, a name or "\("/],
    ['1 2', 3, /an operator or the end/],
    ['(1', 3, /"\)"/],
    ['1)', 2, /an operator or the end/],
    ['tokenz', 1, /one of requests, .*model.*floor/],
    ['eval(1)', 1, /one of/],
    ['constructor', 1, /one of/],
    ['1 ? 2 : 3', 1, /a comparison before/],
    ['1 < 2', 1, /"\?" behind this comparison/],
    ['1 < 2 < 3', 1, /"\?" behind this comparison/],
    ['model', 1, /a comparison of this text/],
    ['model + 1', 1, /a comparison of this text/],
    ['model == 1 ? 1 : 2', 10, /a text, as on the other side/],
    ['1 == model ? 1 : 2', 1, /a text, as on the other side/],
    ['model < "a" ? 1 : 2', 7, /"==" or "!="/],
    ['-"a" == "a" ? 1 : 2', 2, /a number/],
    ['min(1)', 1, /2 to 8 arguments/],
    ['ceil(1, 2)', 1, /1 argument/],
    ['min 1', 5, /"\("/],
    ['1 & 2', 3, /a number, a name, a text in quotes or an operator/],
    ['1e5', 2, /an operator or the end/],
    ['"open', 1, /a number, a name, a text in quotes/],
    ['Input_tokens', 1, /a number, a name, a text in quotes/],
    [`${'('.repeat(40)}1${')'.repeat(40)}`, 33, /at most 32 levels/],
  ]
  for (const [text, at, expected] of rows) {
    const parsed = parseCost(text)
    t.notOk(parsed.ok, text)
    if (!parsed.ok) t.match(parsed.fault, { at, expected }, text)
  }
})

t.test('the value is that of JavaScript for the same arithmetic', async () => {
  const leaf = fc.oneof(
    fc.nat(1000).map(String),
    fc.constantFrom('input_tokens', 'output_tokens', 'bytes', 'requests'),
  )
  const { tree } = fc.letrec<{ tree: string }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      leaf,
      fc
        .tuple(tie('tree'), fc.constantFrom('+', '-', '*', '/'), tie('tree'))
        .map(([a, sign, b]) => `(${a} ${sign} ${b})`),
      fc
        .tuple(tie('tree'), tie('tree'), tie('tree'), tie('tree'))
        .map(([a, b, c, d]) => `(${a} < ${b} ? ${c} : ${d})`),
      fc
        .tuple(tie('tree'), fc.constantFrom('*', '-'), tie('tree'))
        .map(([a, sign, b]) => `${a} ${sign} ${b}`)
        .map((text) => `(${text})`),
    ),
  }))
  fc.assert(
    fc.property(tree, fc.array(fc.nat(1e6), { minLength: 4, maxLength: 4 }), (text, [a, b, c, d]) => {
      const run = new Function('input_tokens', 'output_tokens', 'bytes', 'requests', `return ${text}`)
      const value = Math.ceil(run(a, b, c, d))
      const isUnit = value >= 0 && run(a, b, c, d) >= 0 && value <= Number.MAX_SAFE_INTEGER
      const parsed = parseCost(text)
      const found =
        parsed.ok &&
        parsed.cost.evaluate(
          facts({
            input_tokens: a as number,
            output_tokens: b as number,
            bytes: c as number,
            requests: d as number,
          }),
        )
      return Object.is(found, isUnit ? value + 0 : undefined)
    }),
  )
})

t.test('no text makes the reader throw', async () => {
  const piece = fc.constantFrom(
    ...costNumbers,
    'model',
    '"x"',
    'min',
    '(',
    ')',
    ',',
    '?',
    ':',
    '<',
    '==',
    '-',
    '*',
    '1',
    ' ',
    '\u0000',
    '𝒳',
  )
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((all) => all.join('')),
      ),
      (text) => {
        const parsed = parseCost(text)
        if (parsed.ok) parsed.cost.evaluate(usual)
        else return parsed.fault.at >= 1 && parsed.fault.at <= text.length + 1
        return true
      },
    ),
  )
})
