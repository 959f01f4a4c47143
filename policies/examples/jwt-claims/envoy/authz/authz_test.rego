package envoy.authz_test

import data.envoy.authz

# Made for these tests, and used nowhere else.
key := {
	"kty": "EC",
	"x": "-SzX-dIKFl4Uc86m6XCIg_yQV7MYrMGqzV_85jLOEkc",
	"y": "CQps6Qt6-vd5xLUDQsafqCDWa4sBWjGGddApzz9cpQI",
	"crv": "P-256",
	"d": "H81Dq4Dlj4vYcBIBsaKJdZIh6IxOpmnUMOUFK0qhk6w",
	"kid": "example",
	"alg": "ES256",
}

issuers := {"https://idp.example": {"audience": "models", "jwks": {"keys": [object.remove(key, ["d"])]}}}

# 1 January 2026; a token of one hour.
now := 1767225600000000000

good := {
	"iss": "https://idp.example",
	"aud": "models",
	"sub": "ann",
	"tenant": "acme",
	"scope": "models:infer",
	"exp": 1767229200,
}

asked(payload, model) := {
	"attributes": {"request": {"http": {"headers": {"authorization": sprintf("Bearer %s", [signed(payload)])}}}},
	"serving": {"phase": "request", "model": model, "tenant": {"name": "acme", "models": ["*"]}},
}

signed(payload) := io.jwt.encode_sign({"alg": "ES256", "kid": key.kid, "typ": "JWT"}, payload, key)

infer := {"verb": "infer", "name": "fraud"}

decided(payload, model) := result if {
	result := authz.allow with input as asked(payload, model)
		with data.issuers as issuers
		with time.now_ns as now
}

test_a_valid_token_allows_and_names_the_user if {
	decided(good, infer) == {"allowed": true, "headers": {"x-user": "ann"}}
}

test_an_expired_token_is_none if {
	decided(object.union(good, {"exp": 1767225599}), infer).http_status == 401
	decided(object.union(good, {"exp": 1767225599}), infer).reasons == ["token_invalid"]
}

test_no_token_is_none if {
	authz.allow.http_status == 401 with input as {} with data.issuers as issuers
}

test_inference_needs_its_scope if {
	decided(object.union(good, {"scope": "models:read"}), infer).reasons == ["scope_missing"]
	decided(object.union(good, {"scope": "models:read"}), {"verb": "metadata", "name": "fraud"}).allowed == true
}

test_the_token_and_the_certificate_name_one_tenant if {
	decided(object.union(good, {"tenant": "globex"}), infer).reasons == ["tenant_differs"]
	decided(object.remove(good, ["tenant"]), infer).reasons == ["tenant_differs"]
}

test_every_reason_is_told_once if {
	decided(object.union(good, {"tenant": "globex", "scope": ""}), infer).reasons == ["scope_missing", "tenant_differs"]
}
