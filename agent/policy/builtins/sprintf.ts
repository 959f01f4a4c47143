/** Rego text. */
interface RegoText {
  readonly text: string
}

/**
 * Go's `fmt.Sprintf` as far as policies use it: `%v %s %d %q %x %X %o %b %c %f %e %g %%`, with flags, width and
 * precision. Everything but strings and numbers is a string to Go: OPA
 * passes the Rego text of it, booleans too.
 *
 * @param format a quoted string @param values an array, both in Rego text
 */
export function sprintf(format: RegoText, values: RegoText): string {
  const items = elements(values.text)
  let next = 0
  let result = JSON.parse(format.text).replace(
    /%([-+ 0#]*)(\d+)?(?:\.(\d+))?(.)/gsu,
    (_: string, flags: string, width: string | undefined, precision: string | undefined, verb: string) => {
      if (verb === '%') return '%'
      const item = items[next]
      if (item === undefined) return `%!${verb}(MISSING)`
      next++
      const shown = one(verb, item, {
        flags,
        precision: precision === undefined ? undefined : Number(precision),
      })
      return pad(shown, flags, width === undefined ? 0 : Number(width))
    },
  ) as string
  if (next < items.length) {
    const extra = items.slice(next).map((item) => `${goType(item)}=${plain(item)}`)
    result += `%!(EXTRA ${extra.join(', ')})`
  }
  return result
}

interface Style {
  readonly flags: string
  readonly precision: number | undefined
}

function one(verb: string, item: string, { flags, precision }: Style): string {
  const isString = item.startsWith('"')
  const isInteger = /^-?\d+$/.test(item)
  const isNumber = /^-?\d/.test(item)
  const value = plain(item)
  const sign = flags.includes('+') && isNumber && !item.startsWith('-') ? '+' : ''
  if (verb === 'v') return sign + value
  if (verb === 's' && !isNumber)
    return precision === undefined ? value : [...value].slice(0, precision).join('')
  if (verb === 'q' && isString) return JSON.stringify(value)
  if ((verb === 'x' || verb === 'X') && !isNumber) {
    const hex = Buffer.from(value).toString('hex')
    return verb === 'x' ? hex : hex.toUpperCase()
  }
  if (isInteger) {
    const number = BigInt(item)
    if (verb === 'd') return sign + number.toString()
    if (verb === 'x') return sign + (flags.includes('#') ? '0x' : '') + number.toString(16)
    if (verb === 'X') return sign + number.toString(16).toUpperCase()
    if (verb === 'o') return sign + number.toString(8)
    if (verb === 'b') return sign + number.toString(2)
    if (verb === 'c') return String.fromCodePoint(Number(number))
  }
  if (isNumber && !isInteger) {
    if (verb === 'f' || verb === 'F') return sign + Number(item).toFixed(precision ?? 6)
    if (verb === 'e')
      return (
        sign +
        Number(item)
          .toExponential(precision ?? 6)
          .replace(/e([+-])(\d)$/, 'e$10$2')
      )
    if (verb === 'g')
      return sign + (precision === undefined ? value : String(Number(Number(item).toPrecision(precision))))
  }
  return `%!${verb}(${goType(item)}=${value})`
}

function plain(item: string): string {
  return item.startsWith('"') ? JSON.parse(item) : item
}

function goType(item: string): string {
  if (item.startsWith('"')) return 'string'
  if (/^-?\d+$/.test(item)) return 'int64'
  if (/^-?\d/.test(item)) return 'float64'
  return 'string'
}

function pad(shown: string, flags: string, width: number): string {
  const missing = width - [...shown].length
  if (missing <= 0) return shown
  if (flags.includes('-')) return shown + ' '.repeat(missing)
  if (flags.includes('0') && /^[+-]?[\d.]+$/.test(shown)) {
    const sign = /^[+-]/.exec(shown)?.[0] ?? ''
    return sign + '0'.repeat(missing) + shown.slice(sign.length)
  }
  return ' '.repeat(missing) + shown
}

/** The elements of an array in Rego text, each as text. Linear: one pass that knows strings and brackets. */
export function elements(array: string): string[] {
  const found: string[] = []
  let depth = 0
  let from = 1
  let isInString = false
  for (let i = 0; i < array.length; i++) {
    const character = array[i]
    if (isInString) {
      if (character === '\\') i++
      else if (character === '"') isInString = false
    } else if (character === '"') isInString = true
    else if (character === '[' || character === '{' || character === '(') depth++
    else if (character === ']' || character === '}' || character === ')') depth--
    else if (character === ',' && depth === 1) {
      found.push(array.slice(from, i).trim())
      from = i + 1
    }
  }
  const last = array.slice(from, -1).trim()
  if (last !== '') found.push(last)
  return found
}
