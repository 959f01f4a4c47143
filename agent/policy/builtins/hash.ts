import { createHmac, hash, timingSafeEqual } from 'node:crypto'
import type { Family } from './builtin.ts'
import { text } from './operands.ts'

const hmac = (algorithm: string) => (_: unknown, message: unknown, key: unknown) =>
  createHmac(algorithm, text(key as string))
    .update(text(message as string))
    .digest('hex')

/** `crypto.*` digests and keyed digests, lower-case hexadecimal. */
export const hashBuiltins: Family = {
  'crypto.md5': (_, value) => hash('md5', text(value)),
  'crypto.sha1': (_, value) => hash('sha1', text(value)),
  'crypto.sha256': (_, value) => hash('sha256', text(value)),
  'crypto.hmac.md5': hmac('md5'),
  'crypto.hmac.sha1': hmac('sha1'),
  'crypto.hmac.sha256': hmac('sha256'),
  'crypto.hmac.sha512': hmac('sha512'),
  'crypto.hmac.equal': (_, a, b) => {
    const [left, right] = [Buffer.from(text(a)), Buffer.from(text(b))]
    return left.length === right.length && timingSafeEqual(left, right)
  },
}
