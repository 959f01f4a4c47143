import type { Builtin } from './builtin.ts'
import { encodingBuiltins } from './encoding.ts'
import { hashBuiltins } from './hash.ts'
import { jwtBuiltins } from './jwt.ts'
import { regexBuiltins } from './regex.ts'
import { stringBuiltins } from './strings.ts'
import { timeBuiltins } from './time.ts'

/** Everything the host gives a policy beyond what is compiled into the wasm module. */
export const builtins: ReadonlyMap<string, Builtin> = new Map<string, Builtin>([
  ...jwtBuiltins,
  ...timeBuiltins,
  ...stringBuiltins,
  ...regexBuiltins,
  ...hashBuiltins,
  ...encodingBuiltins,
])

/** What will never run on the request's way, and what to do instead. */
export const refusedBuiltins: ReadonlyMap<string, string> = new Map([
  ['http.send', "put what it would fetch into the bundle's data"],
  ['net.lookup_ip_addr', "put the addresses into the bundle's data"],
])
