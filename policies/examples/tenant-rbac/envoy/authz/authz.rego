# METADATA
# title: Roles of a tenant's workloads
# description: |
#   A tenant binds its workloads to roles, a role grants verbs on models. `data.rbac` has both:
#
#     {"roles": {"caller": [{"verbs": ["infer"], "models": ["fraud", "ocr-*"]}]},
#      "bindings": {"acme": {"checkout": ["caller"]}}}
#
#   A workload is known by the last segment of its SPIFFE ID, which its certificate proves.
package envoy.authz

import data.sluice.models
import data.sluice.result

# METADATA
# entrypoint: true
allow := result.decide(reasons)

reasons contains result.reason_with("caller_unknown", "The caller has no role here.", 403) if not roles

reasons contains result.reason("not_granted", "The caller's roles do not grant this.") if {
	roles
	not granted
}

workload := input.serving.peer.path[count(input.serving.peer.path) - 1]

roles := data.rbac.bindings[models.tenant][workload]

granted if {
	some role in roles
	some grant in data.rbac.roles[role]
	input.serving.model.verb in grant.verbs
	reaches(grant)
}

# What is about the server and no model: health and metadata.
reaches(_) if not models.name

reaches(grant) if models.listed(grant.models, models.name)
