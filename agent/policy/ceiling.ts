import type { Stage } from '#decision/stage.ts'
import { computingVerbs } from '#decision/verbs.ts'
import { ALLOW, deny } from '#decision/verdict.ts'
import { coversModel } from '#resources/resources.ts'

/** A tenant's own list of models binds before any Rego runs, and without any. */
export function createTenantCeiling(): Stage {
  return {
    name: 'ceiling',
    failureReason: 'policy_failed',
    request: ({ tenant, call }) => {
      if (tenant === undefined || call === undefined) return ALLOW
      const { model, verb } = call
      // A call that computes, of which the model was not seen (ext_authz without the body), could be of any model.
      if (model === undefined)
        return computingVerbs.has(verb) ? deny('model_not_permitted', 'the model was not seen') : ALLOW
      return coversModel(tenant.models, model)
        ? ALLOW
        : deny('model_not_permitted', `${tenant.name} does not list ${model}`)
    },
  }
}
