# 1,000 tenants x 5 models: which tenant may ask which model, from data. Neutral ground for both engines.
package envoy.authz

default allow := false

allow if {
	input.attributes.request.http.method == "POST"
	data.rbac[caller][asked]
}

# Whom Sluice bound the certificate to; where nobody is bound, what the caller says.
caller := input.serving.tenant.name

caller := input.attributes.request.http.headers["x-tenant"] if not input.serving.tenant

asked := model if ["v2", "models", model, "infer"] = input.parsed_path

asked := model if ["v2", "models", model, "versions", _, "infer"] = input.parsed_path

# The name stands in the message: only Sluice gives it to a policy.
asked := input.serving.model.name if input.parsed_path == ["inference.GRPCInferenceService", "ModelInfer"]
