# A bearer token, checked against keys of the data, and what its roles permit among 1,000 users.
package envoy.authz

default allow := false

allow if {
	input.attributes.request.http.method == "POST"
	["v2", "models", model, "infer"] = input.parsed_path
	user := data.users[claims.sub]
	not user.is_suspended
	some role in claims.roles
	model in data.grants[role]
}

claims := payload if {
	[scheme, token] := split(input.attributes.request.http.headers.authorization, " ")
	lower(scheme) == "bearer"
	[true, _, payload] = io.jwt.decode_verify(token, {"cert": data.jwks, "aud": "models", "iss": "https://idp.example"})
}
