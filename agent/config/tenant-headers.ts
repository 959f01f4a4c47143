import { z } from 'zod'

/** `identity.tenantHeaders`. */
export const tenantHeaders = z
  .array(
    z
      .string()
      // Envoy lets nobody but itself change its own headers.
      .regex(
        /^(?!x-envoy)[a-z][a-z0-9-]{2,}\*?$/,
        'a header name in lower case, or the beginning of one and *',
      ),
  )
  .default(['x-tenant', 'x-tenant-*', 'x-tenantid', 'x-org', 'x-org-*', 'x-organization-id', 'x-scope-orgid'])
  .describe(
    'Headers in which a client says what its tenant is, which only its identity says: neither policy nor the model server sees them. A * stands for every ending. `x-sluice-*` is always among them.',
  )
