/** The method that all of them answer, and a CheckResponse that allows: `status` and `ok_response`, both empty. */
export const path = '/envoy.service.auth.v3.Authorization/Check'
export const answer = Buffer.from([0x0a, 0, 0x1a, 0])

/** `unix:/path`, the one argument. */
export const listen = process.argv[2] ?? ''
