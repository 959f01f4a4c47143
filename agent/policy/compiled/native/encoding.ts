import type { Family } from '../../builtins/builtin.ts'
import { OperandError, text } from '../../builtins/operands.ts'

const standard = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const urlSafe = /^(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-]{2}==|[A-Za-z0-9_-]{3}=)?$/

/** Go ignores line ends in base64. */
const joined = (value: string) => value.replace(/[\r\n]/g, '')

/** `base64.*`, `base64url.*`. */
export const encodingBuiltins: Family = {
  'base64.encode': (_, value) => Buffer.from(text(value)).toString('base64'),
  'base64.decode': (_, value) => {
    if (!standard.test(joined(text(value)))) throw new OperandError('not base64')
    return Buffer.from(text(value), 'base64').toString()
  },
  'base64.is_valid': (_, value) => typeof value === 'string' && standard.test(joined(value)),
  'base64url.encode': (_, value) =>
    Buffer.from(text(value)).toString('base64').replaceAll('+', '-').replaceAll('/', '_'),
  'base64url.decode': (_, value) => {
    let written = text(value)
    // Most leave the padding out.
    if (!written.endsWith('=')) {
      if (written.length % 4 === 1) throw new OperandError('not base64url')
      written += '='.repeat((4 - (written.length % 4)) % 4)
    }
    if (!urlSafe.test(joined(written))) throw new OperandError('not base64url')
    return Buffer.from(written, 'base64url').toString()
  },
}
