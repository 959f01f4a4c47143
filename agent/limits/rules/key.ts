import { createHash } from 'node:crypto'
import type { CounterKey } from '../store/store.ts'
import type { Subject } from './rules.ts'

/** Longer values stand in a key as their digest. */
const maxValueLength = 64

/** What has a counter of its own, as QuotaPolicy writes it. */
type Scope = string

/**
 * Makes the keys of one limit. No two subjects that differ in a scope share one: values are length-prefixed, what is absent
 * is not what is empty, and a digest is no value.
 *
 * @param name `policy/limit`
 */
export function keyMaker(name: string, scopes: readonly Scope[]): (subject: Subject) => CounterKey {
  const isOfTenant = scopes.includes('tenant')
  const own = `limit/${name}`
  const make = (subject: Subject): CounterKey => {
    let id = name
    for (const scope of scopes) id += `|${scope}=${written(scopedValue(scope, subject))}`
    return { partition: isOfTenant ? partitionOf(subject.tenant) : own, id, family: name }
  }
  if (scopes.length === 0) {
    const key = make({})
    return () => key
  }
  return scopes.length === 1 && isOfTenant ? perTenant(make) : make
}

/** Tenants are declared: as many keys are remembered as there are tenants. */
function perTenant(make: (subject: Subject) => CounterKey): (subject: Subject) => CounterKey {
  const keys = new Map<string | undefined, CounterKey>()
  return (subject) => {
    let key = keys.get(subject.tenant)
    if (key === undefined) {
      key = make(subject)
      keys.set(subject.tenant, key)
    }
    return key
  }
}

function partitionOf(tenant: string | undefined): string {
  return tenant === undefined ? 'tenant' : `tenant/${tenant}`
}

function scopedValue(scope: Scope, subject: Subject): string | undefined {
  switch (scope) {
    case 'tenant':
    case 'user':
    case 'peer':
    case 'model':
    case 'version':
    case 'route':
      return subject[scope]
    default: {
      const values = subject.headers?.all(scope.slice('header:'.length)) ?? []
      return values.length === 0 ? undefined : values.join(',')
    }
  }
}

function written(value: string | undefined): string {
  if (value === undefined) return '-'
  if (value.length <= maxValueLength && value.isWellFormed()) return `${value.length}:${value}`
  // As UTF-16: half a surrogate has no UTF-8 of its own.
  return `#${createHash('sha256').update(Buffer.from(value, 'utf16le')).digest('base64url')}`
}
