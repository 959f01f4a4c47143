import type { z } from 'zod'
import type { introspectionSchema, tokensSchema } from './token-schema.ts'

type Tokens = z.infer<typeof tokensSchema>
type Introspection = z.infer<typeof introspectionSchema>

type Absolute = (path: string) => string

/** The files that `tokens` names, by their place below it. */
export function tokenFiles({ dpop, replay }: Tokens): (readonly [place: string, path: string])[] {
  return [
    ...(dpop?.nonce ? [['dpop.nonce.secretFile', dpop.nonce.secretFile] as const] : []),
    ...(typeof replay === 'object' && replay.ca !== undefined ? [['replay.ca', replay.ca] as const] : []),
  ]
}

export function withAbsoluteTokenPaths(tokens: Tokens, file: Absolute): Tokens {
  const { dpop, replay } = tokens
  return {
    ...tokens,
    ...(dpop?.nonce && {
      dpop: { ...dpop, nonce: { ...dpop.nonce, secretFile: file(dpop.nonce.secretFile) } },
    }),
    ...(typeof replay === 'object' &&
      replay.ca !== undefined && { replay: { ...replay, ca: file(replay.ca) } }),
  }
}

/** The files that an issuer's `introspection` names. */
export function introspectionFiles({
  auth,
  ca,
  certificate,
}: Introspection): (readonly [place: string, path: string])[] {
  return [
    ...('secretFile' in auth ? [['auth.secretFile', auth.secretFile] as const] : []),
    ...('keyFile' in auth ? [['auth.keyFile', auth.keyFile] as const] : []),
    ...(ca === undefined ? [] : [['ca', ca] as const]),
    ...(certificate === undefined
      ? []
      : [
          ['certificate.certFile', certificate.certFile] as const,
          ['certificate.keyFile', certificate.keyFile] as const,
        ]),
  ]
}

export function withAbsoluteIntrospectionPaths(introspection: Introspection, file: Absolute): Introspection {
  const { auth, ca, certificate } = introspection
  return {
    ...introspection,
    auth:
      'secretFile' in auth
        ? { ...auth, secretFile: file(auth.secretFile) }
        : 'keyFile' in auth
          ? { ...auth, keyFile: file(auth.keyFile) }
          : auth,
    ...(ca !== undefined && { ca: file(ca) }),
    ...(certificate && {
      certificate: { certFile: file(certificate.certFile), keyFile: file(certificate.keyFile) },
    }),
  }
}
