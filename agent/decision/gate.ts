import type { Stage } from './stage.ts'
import { ALLOW, failure } from './verdict.ts'

/** Refuses everything until resources have been loaded once: an empty set would demand nothing of anybody. */
export function createResourceGate(source: { isReady(): boolean; lastError(): string | undefined }): Stage {
  return {
    name: 'resources',
    failureReason: 'internal_error',
    request: () => (source.isReady() ? ALLOW : failure('resources_not_loaded', source.lastError())),
  }
}
