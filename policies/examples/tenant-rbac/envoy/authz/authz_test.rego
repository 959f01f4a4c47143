package envoy.authz_test

import data.envoy.authz

asked(tenant, workload, model) := {"serving": {
	"phase": "request",
	"tenant": {"name": tenant, "models": ["*"]},
	"peer": {"path": ["ns", tenant, "sa", workload]},
	"model": model,
}}

test_a_role_grants_its_verbs_on_its_models if {
	authz.allow == {"allowed": true} with input as asked("acme", "checkout", {"verb": "infer", "name": "fraud"})
	authz.allow == {"allowed": true} with input as asked("acme", "checkout", {"verb": "infer", "name": "ocr-large"})
	authz.allow == {"allowed": true} with input as asked("acme", "probe", {"verb": "server_ready"})
}

test_another_verb_is_not_granted if {
	authz.allow.reasons == ["not_granted"] with input as asked("acme", "probe", {"verb": "infer", "name": "fraud"})
}

test_another_model_is_not_granted if {
	authz.allow.reasons == ["not_granted"] with input as asked("acme", "checkout", {"verb": "infer", "name": "llm"})
}

test_a_binding_is_of_one_tenant if {
	authz.allow.reasons == ["caller_unknown"] with input as asked("globex", "checkout", {"verb": "infer", "name": "fraud"})
}

test_nobody_is_denied if {
	authz.allow.allowed == false with input as {}
	authz.allow.reasons == ["caller_unknown"] with input as {}
}
