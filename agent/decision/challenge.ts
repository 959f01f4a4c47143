/** What the token of the client's next try must have, as the stage says that refuses this one. */
export interface Demand {
  /** Scopes, with a space between. @see RFC 6750, 3 */
  readonly scope?: string
  /** How the user must have signed in, the preferred first. @see RFC 9470, 3 */
  readonly acrValues?: readonly string[]
  /** How long ago that may be. */
  readonly maxAgeSeconds?: number
  /** What the next proof of possession must carry. @see RFC 9449, 8 */
  readonly nonce?: string
}

/** What a client is told of how to come back: `WWW-Authenticate`, and `DPoP-Nonce` where there is a nonce. */
export interface Challenge {
  /** At least one; that which the error is about stands first. */
  readonly schemes: readonly SchemeChallenge[]
  readonly nonce?: string
}

export interface SchemeChallenge {
  readonly scheme: 'Bearer' | 'DPoP'
  /** In the order they are written. Values as they are, not quoted. */
  readonly parameters: readonly (readonly [name: string, value: string])[]
}
