import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createIntrospection, type IntrospectionConfig } from '#identity/introspection/introspection.ts'
import type { ClaimRulesConfig } from '#identity/token/issuer.ts'
import { manualClock } from '../../decision/an-exchange.ts'
import {
  type AuthorizationServer,
  type Script,
  startAuthorizationServer,
} from '../../harness/authorization-server.ts'
import { temporaryFolder } from '../../harness/temp.ts'

export const issuer = 'https://idp.example'
export const startSeconds = manualClock().nowMs() / 1000

export const someRules = (more: Partial<ClaimRulesConfig> = {}): ClaimRulesConfig => ({
  issuer,
  audience: 'models',
  profile: 'jwt',
  userClaim: 'sub',
  maxLifetimeSeconds: 86_400,
  clockSkewSeconds: 0,
  requireBinding: false,
  ...more,
})

/** A whole answer about a token that is active; change one thing, `undefined` takes it away. */
export const anAnswer = (more: object = {}) => ({
  active: true,
  iss: issuer,
  sub: 'user-1',
  aud: ['models', 'other'],
  client_id: 'app',
  scope: 'infer read',
  exp: startSeconds + 300,
  iat: startSeconds - 10,
  ...more,
})

export const isJson = { 'content-type': 'application/json' }

/** A server and who asks it, on a clock that only moves when told. */
export async function opened(
  options: {
    readonly script?: Script
    readonly rules?: Partial<ClaimRulesConfig>
    readonly config?: Partial<IntrospectionConfig>
  } = {},
) {
  const folder = temporaryFolder()
  const server: AuthorizationServer = await startAuthorizationServer({ script: options.script ?? anAnswer() })
  const secretFile = join(folder.path, 'secret')
  writeFileSync(secretFile, 's3cr3t\n')
  const clock = manualClock()
  const introspection = createIntrospection(
    someRules(options.rules),
    {
      endpoint: server.endpoint,
      authentication: { method: 'client_secret_basic', clientId: 'sluice', secretFile },
      // Long enough for a busy machine.
      timeoutMs: 30_000,
      cacheSeconds: 30,
      negativeCacheSeconds: 5,
      maxConcurrent: 4,
      ...options.config,
    },
    { clock },
  )
  return {
    ...introspection,
    introspect: (token: string, peer = 'spiffe://test.example/ns/a') => introspection.introspect(token, peer),
    server,
    clock,
    folder: folder.path,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]()
      folder[Symbol.dispose]()
    },
  }
}
