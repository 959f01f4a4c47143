import t from 'tap'
import { rego, sameAsOpa } from './against-opa.ts'

/** What random operands found in families that had been there for long. */
t.test('regular expressions that match nothing, or by name', async (t) => {
  const patterns = ['(?i)', '|', 'x*', '\\b', '[ab]?', '(a)|b', '(?P<n>a)(b)?', '^', '$', '(?i)a|', 'é*', '.']
  const values = ['', 'a', 'ab', 'aab b', 'éa😀', '\na\n', 'b.a']
  const templates = [
    '',
    'x',
    '$1',
    '\u0024{1}x',
    '$1x',
    '$n',
    '\u0024{n}',
    '$$1',
    '$',
    '$9',
    '${',
    '$ñ',
    '\\1',
  ]
  await sameAsOpa(t, [
    ...patterns.flatMap((pattern) =>
      values.flatMap((value) => [
        `regex.split(${rego(pattern)}, ${rego(value)})`,
        `regex.find_n(${rego(pattern)}, ${rego(value)}, -1)`,
        `regex.find_n(${rego(pattern)}, ${rego(value)}, 2)`,
      ]),
    ),
    ...patterns.flatMap((pattern) =>
      templates.map((template) => `regex.replace("aab éb", ${rego(pattern)}, ${rego(template)})`),
    ),
    'regex.split("(", "")',
    'regex.split("", "")',
  ])
})

t.test('indexes of sprintf, braces of UUIDs, hours of one digit', async (t) => {
  await sameAsOpa(t, [
    ...['%[2]v %v', '%[3]d|%d|%d', '%[0]v %v', '%v %[9]v %v', '%[1]v %[1]v', '%[2]*[1]d'].map(
      (format) => `sprintf(${rego(format)}, [7, 3])`,
    ),
    ...['(6ba7b810-9dad-11d1-80b4-00c04fd430c8)', 'x6ba7b810-9dad-11d1-80b4-00c04fd430c8{'].map(
      (uuid) => `uuid.parse(${rego(uuid)})`,
    ),
    ...['2020-01-30T7:00:59Z', '2020-01-30T7:00:59,5+04:00', '2020-01-30T24:00:00Z'].map(
      (time) => `time.parse_rfc3339_ns(${rego(time)})`,
    ),
  ])
})

t.test('what a place calls its time', async (t) => {
  const zones = Intl.supportedValuesOf('timeZone')
  // The years after 2025 are the next tzdata's; what a zone was called long ago is told by its offset of today.
  const moments = [1_736_942_400, 1_752_580_800].map((seconds) => seconds * 1e9)
  await sameAsOpa(
    t,
    zones.flatMap((zone) => moments.map((ns) => `time.format([${ns}, ${rego(zone)}, "MST -0700"])`)),
  )
})
