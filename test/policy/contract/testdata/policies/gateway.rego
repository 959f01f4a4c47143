# In the manner of gateways: everything that can be read of a request decides, everything that can be changed is.
package envoy.authz

default allow := {"allowed": false, "http_status": 404, "headers": {"x-reason": "no rule"}}

http := input.attributes.request.http

allow := {
	"allowed": true,
	"query_parameters_to_set": {"seen": "yes", "limit": "5"},
	"query_parameters_to_remove": ["token", "debug"],
} if {
	input.parsed_path == ["query"]
	count(input.parsed_query) > 0
}

allow := {
	"allowed": true,
	"headers": [{"x-limit": input.parsed_query.limit}, {"x-path": input.parsed_path[0]}],
	"request_headers_to_remove": ["cookie", "x-secret"],
	"dynamic_metadata": {"role": http.method},
} if {
	input.parsed_path[0] == "people"
	count(input.parsed_path) < 4
	input.parsed_query.limit
}

allow := {"allowed": count(form) > 0, "headers": {"x-form": form}} if {
	input.parsed_path == ["form"]
	# Sorted: a module built for wasm walks an object in another order than OPA does.
	form := sort([sprintf("%s=%s", [name, value]) | some name; some value in input.parsed_body[name]; is_string(value)])
}

allow := {
	"allowed": input.parsed_body.amount <= 1000,
	"body": json.marshal({"why": "too much", "amount": input.parsed_body.amount}),
	"headers": {"content-type": "application/json", "set-cookie": ["a=1", "b=2"]},
	"http_status": 402,
} if {
	input.parsed_path == ["pay"]
	is_number(input.parsed_body.amount)
}

allow := {"allowed": false, "http_status": 302, "headers": {"location": "/login"}} if input.parsed_path == ["login"]

allow := {"allowed": input.truncated_body} if input.parsed_path == ["large"]
