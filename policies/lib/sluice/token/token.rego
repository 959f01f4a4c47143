# METADATA
# title: Bearer tokens and what they claim
package sluice.token

import data.sluice.headers

# METADATA
# description: The bearer token of the request (RFC 6750); undefined where there is none or more than one.
bearer := value if {
	[scheme, value] = split(headers.single("authorization"), " ")
	lower(scheme) == "bearer"
	value != ""
}

# METADATA
# description: |
#   What a valid token claims; undefined for every other. `issuers` maps the `iss` that are trusted to
#   `{"jwks": {"keys": […]}, "audience": "models"}`; a token is verified with the keys of its own issuer
#   only, must not be expired, and must be for the audience.
claims(issuers) := payload if {
	[_, claimed, _] := io.jwt.decode(bearer)
	issuer := issuers[claimed.iss]
	[true, _, payload] = io.jwt.decode_verify(bearer, {
		"cert": json.marshal(issuer.jwks),
		"iss": claimed.iss,
		"aud": issuer.audience,
		# Said, so that a test and a replay can say another.
		"time": time.now_ns(),
	})

	# Without an end it would be valid for ever.
	payload.exp
}

# METADATA
# description: The scopes of a token, from `scope` (RFC 8693) or from `scp`, text or a list.
# scope: document
scopes(payload) := set() if {
	not payload.scope
	not payload.scp
}

scopes(payload) := words(object.get(payload, "scope", object.get(payload, "scp", ""))) if {
	some name in ["scope", "scp"]
	payload[name]
}

# METADATA
# description: Whether a token has a scope.
has_scope(payload, scope) if scope in scopes(payload)

words(value) := {word |
	some word in split(value, " ")
	word != ""
} if {
	is_string(value)
}

words(value) := {word | some word in value} if is_array(value)
