import { decodeBase64 } from '#crypto/base64.ts'
import type { Family } from '../../builtins/builtin.ts'
import { OperandError, succeeds, text } from '../../builtins/operands.ts'
import { goText } from '../../values/go-text.ts'

/** Most leave the padding out. */
function withPadding(written: string): string {
  if (written.endsWith('=')) return written
  if (written.length % 4 === 1) throw new OperandError('not base64url')
  return written + '='.repeat((4 - (written.length % 4)) % 4)
}

/** `base64.*`, `base64url.*`. */
export const encodingBuiltins: Family = {
  'base64.encode': (_, value) => Buffer.from(text(value)).toString('base64'),
  'base64.decode': (_, value) => goText(decodeBase64(text(value), 'standard', 'padded')),
  'base64.is_valid': (_, value) => succeeds(() => decodeBase64(text(value), 'standard', 'padded')),
  'base64url.encode': (_, value) =>
    Buffer.from(text(value)).toString('base64').replaceAll('+', '-').replaceAll('/', '_'),
  'base64url.decode': (_, value) => goText(decodeBase64(withPadding(text(value)), 'url', 'padded')),
}
