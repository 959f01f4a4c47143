package envoy.authz_test

import data.envoy.authz

tenants := {
	"acme": {"models": {"fraud": {"verbs": ["infer"], "versions": ["1", "2"]}}},
	"globex": {"models": {"ocr": {"verbs": ["infer"], "versions": ["1"]}}},
}

ask(tenant, model) := {"serving": {"tenant": {"name": tenant}, "model": model}}

infer := {"name": "fraud", "verb": "infer"}

test_a_granted_verb_is_allowed if {
	authz.allow with input as ask("acme", infer) with data.sluice.tenants as tenants
}

test_a_granted_version_is_allowed if {
	authz.allow with input as ask("acme", object.union(infer, {"version": "2"})) with data.sluice.tenants as tenants
}

test_another_version_is_denied if {
	not authz.allow with input as ask("acme", object.union(infer, {"version": "3"})) with data.sluice.tenants as tenants
}

test_another_verb_is_denied if {
	not authz.allow with input as ask("acme", {"name": "fraud", "verb": "repository"}) with data.sluice.tenants as tenants
}

test_another_model_is_denied if {
	not authz.allow with input as ask("globex", infer) with data.sluice.tenants as tenants
}

test_an_unknown_tenant_is_denied_even_health if {
	not authz.allow with input as ask("nobody", {"verb": "server_ready"}) with data.sluice.tenants as tenants
}

test_a_known_tenant_may_ask_for_health if {
	authz.allow with input as ask("globex", {"verb": "server_ready"}) with data.sluice.tenants as tenants
}

test_a_granted_model_may_be_asked_after if {
	authz.allow with input as ask("acme", {"name": "fraud", "verb": "model_ready"}) with data.sluice.tenants as tenants
}

test_another_model_may_not_be_asked_after if {
	not authz.allow with input as ask("globex", {"name": "fraud", "verb": "metadata"}) with data.sluice.tenants as tenants
}

test_an_empty_input_is_denied if {
	not authz.allow with input as {} with data.sluice.tenants as tenants
}
