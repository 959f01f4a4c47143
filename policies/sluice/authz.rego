# METADATA
# title: Which tenant may do what with which model
# description: |
#   Denies unless the data grants it. `data.sluice.tenants` maps a tenant to models, each with the verbs it may use and
#   the versions it may reach:
#
#     {"acme": {"models": {"fraud": {"verbs": ["infer"], "versions": ["1", "2"]}}}}
#
#   Every known tenant may ask whether the server is ready, and after the models that it has a grant for.
# entrypoint: true
package envoy.authz

default allow := false

allow if {
	input.serving.model.verb in {"server_live", "server_ready", "server_metadata"}
	tenant
}

allow if {
	input.serving.model.verb in {"model_ready", "metadata"}
	grant
}

allow if {
	input.serving.model.verb in grant.verbs
	version_permitted
}

tenant := data.sluice.tenants[input.serving.tenant.name]

grant := tenant.models[input.serving.model.name]

# The version that will answer: the one the client named or the one that the route chose.
version_permitted if input.serving.model.version in grant.versions

# Nobody has chosen: the model has no route and the client left it open.
version_permitted if not input.serving.model.version
