# In the shape of the libraries of policy systems: an outcome with its reasons, of which Envoy takes what it knows.
package envoy.authz

allow := {
	"allowed": is_allowed,
	"code": code,
	"http_status": http_status,
	"headers": {"x-policy-code": sprintf("%d", [code]), "x-policy-type": "ingress"},
	"body": concat(", ", sort([reason.message | some reason in enforced])),
	"outcome": {"allowed": is_allowed, "enforced": enforced, "monitored": monitored, "policy_type": "ingress"},
	"decision_type": "ingress",
	"dynamic_metadata": {"role": "system", "enforced": count(enforced)},
}

is_allowed if {
	count(enforced) == 0
	count(granted) > 0
}

default is_allowed := false

code := 0 if is_allowed

code := 7 if not is_allowed

http_status := 200 if is_allowed

http_status := 403 if {
	not is_allowed
	count(enforced) > 0
}

http_status := 404 if {
	not is_allowed
	count(enforced) == 0
}

granted contains "read" if input.attributes.request.http.method in {"GET", "HEAD"}

granted contains "write" if {
	input.attributes.request.http.method == "POST"
	input.parsed_path[0] in {"people", "form"}
}

enforced contains {"code": "secret", "message": "a secret in the query"} if input.parsed_query.token

enforced contains {"code": "deep", "message": "a path too deep"} if count(input.parsed_path) > 3

monitored contains {"code": "agent", "message": "no user agent"} if not input.attributes.request.http.headers["user-agent"]
