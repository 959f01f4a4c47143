# 1,000 tenants x 5 models: which tenant may ask which model, from data. Neutral ground for both engines.
package envoy.authz

default allow := false

allow if {
	tenant := input.attributes.request.http.headers["x-tenant"]
	input.attributes.request.http.method == "POST"
	["v2", "models", model, "infer"] = input.parsed_path
	data.rbac[tenant][model]
}
