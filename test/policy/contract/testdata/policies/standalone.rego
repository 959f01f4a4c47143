# In the manner of OPA's tutorial for a lone Envoy: roles from a signed token, an answer made of parts.
package envoy.authz

import input.attributes.request.http as http_request

default allow := false

allow := {
	"allowed": is_allowed,
	"headers": {"x-ext-auth-allow": "yes", "x-validated-by": "policy"},
	"request_headers_to_remove": ["one-auth-header", "Another-Auth-Header"],
	"response_headers_to_add": {"x-foo": "bar", "x-upstream": "policy", "set-cookie": ["a=1", "b=2"]},
	"dynamic_metadata": {"role": role},
	"body": "Unauthorized Request",
	"http_status": status_code,
} if {
	role
}

default is_allowed := false

is_allowed if {
	role == "guest"
	http_request.method == "GET"
	glob.match("/people*", ["/"], http_request.path)
}

is_allowed if {
	role == "admin"
	http_request.method in ["GET", "POST", "PUT"]
	not own_record
}

# Nobody makes a record of their own name.
own_record if {
	http_request.method == "POST"
	lower(input.parsed_body.firstname) == base64url.decode(claims.sub)
}

default status_code := 403

status_code := 401 if not claims.role in ["guest", "admin"]

role := claims.role

claims := payload if {
	[kind, encoded] := split(http_request.headers.authorization, " ")
	kind == "Bearer"
	[valid, _, payload] := io.jwt.decode_verify(encoded, {"secret": "secret"})
	valid
}
