package sluice.token_test

import data.sluice.token

# Made for these tests, and used nowhere else.
key := {
	"kty": "EC",
	"x": "IwZzhdsFM17hxJ6oBXgSiDXs6SOQTyJaU-eLFcVlJA0",
	"y": "ZLv8EhtySkopCTpdZfIaFo9T1hPN4Fv7ohwoLbMMP6o",
	"crv": "P-256",
	"d": "GlmfLjPm9dLOeRlY8DVNik70ZvjJsq7M4A_16bqP1Uw",
	"kid": "one",
	"alg": "ES256",
}

other_key := {
	"kty": "EC",
	"x": "OcBPjFwaTeLh6TyseGvfJcWw-Kl6p4GDnxT6WLWTRPE",
	"y": "Imb0-yLk2bww0Tbdql3-e3vZSh5g43LLVprolCUGmAQ",
	"crv": "P-256",
	"d": "_CcFqU-n97l_ZLO5oO06ZNyxCeq5hCyxAZZB6ZpTPa4",
	"kid": "two",
	"alg": "ES256",
}

public(jwk) := object.remove(jwk, ["d"])

issuers := {
	"https://idp.example": {"jwks": {"keys": [public(key)]}, "audience": "models"},
	"https://other.example": {"jwks": {"keys": [public(other_key)]}, "audience": "models"},
}

# 1 January 2026; a token of one hour.
now := 1767225600000000000

good := {"iss": "https://idp.example", "aud": "models", "sub": "ann", "exp": 1767229200, "scope": "models:infer other"}

signed(payload, jwk) := io.jwt.encode_sign({"alg": "ES256", "kid": jwk.kid, "typ": "JWT"}, payload, jwk)

asked(value) := {"attributes": {"request": {"http": {"headers": {"authorization": value}}}}}

bearing(payload, jwk) := asked(sprintf("Bearer %s", [signed(payload, jwk)]))

test_a_valid_token_has_claims if {
	token.claims(issuers).sub == "ann" with input as bearing(good, key) with time.now_ns as now
}

test_a_token_for_several_audiences_is_valid if {
	many := object.union(good, {"aud": ["other", "models"]})
	token.claims(issuers).sub == "ann" with input as bearing(many, key) with time.now_ns as now
}

test_a_token_that_is_no_good_has_none[note] if {
	some note, payload in {
		"expired": object.union(good, {"exp": 1767225600}),
		"not yet": object.union(good, {"nbf": 1767225601}),
		"for another": object.union(good, {"aud": "another"}),
		"from nobody known": object.union(good, {"iss": "https://unknown.example"}),
		"without an end": object.remove(good, ["exp"]),
		"without an audience": object.remove(good, ["aud"]),
		"without an issuer": object.remove(good, ["iss"]),
	}
	not token.claims(issuers) with input as bearing(payload, key) with time.now_ns as now
}

test_a_key_of_another_issuer_is_not_trusted if {
	not token.claims(issuers) with input as bearing(good, other_key) with time.now_ns as now
}

test_the_scheme_may_be_in_any_case if {
	token.bearer == "t" with input as asked("bearer t")
	token.bearer == "t" with input as asked("BEARER t")
}

test_what_is_no_single_bearer_token_is_none[value] if {
	some value in ["", "Bearer", "Bearer ", "Basic dDp0", "Bearer a b", "Bearer a,Bearer b"]
	not token.bearer with input as asked(value)
}

test_scopes_are_words_or_a_list if {
	token.has_scope(good, "models:infer")
	not token.has_scope(good, "models:admin")
	not token.has_scope(good, "models")
	token.scopes({"scp": "a  b"}) == {"a", "b"}
	token.scopes({"scp": ["a", "b"]}) == {"a", "b"}
	token.scopes({}) == set()
}
