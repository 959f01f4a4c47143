package envoy.authz_test

import data.envoy.authz

answer := {"outputs": [
	{"name": "label", "datatype": "INT64", "shape": [1], "data": [1]},
	{"name": "embedding", "datatype": "FP32", "shape": [2], "data": [0.5, 0.25]},
	{"name": "raw_scores", "datatype": "FP32", "shape": [2], "data": [0.9, 0.1]},
]}

redaction := {"outputs": {"embedding": ["research"], "raw_scores": ["research", "audit"]}, "headers": ["x-model-host"]}

answered(tenant, response) := result if {
	result := authz.allow with input as {"serving": {
		"phase": "response",
		"tenant": {"name": tenant, "models": ["*"]},
		"response": response,
	}}
		with data.redaction as redaction
}

test_a_request_is_allowed if {
	authz.allow == true with input as {"serving": {"phase": "request"}} with data.redaction as redaction
}

test_outputs_are_taken_out_for_other_tenants if {
	answered("acme", {"status": 200, "headers": {}, "body": answer}).redact == {
		"/outputs/1/data",
		"/outputs/2/data",
	}
	answered("audit", {"status": 200, "headers": {}, "body": answer}).redact == {"/outputs/1/data"}
	answered("research", {"status": 200, "headers": {}, "body": answer}).redact == set()
}

test_an_unknown_tenant_sees_nothing_that_is_listed if {
	result := authz.allow with input as {"serving": {"phase": "response", "response": {"status": 200, "body": answer}}}
		with data.redaction as redaction
	count(result.redact) == 2
}

test_headers_are_removed_for_everybody if {
	answered("research", {"status": 200, "headers": {}, "body": answer}).response_headers_to_remove == ["x-model-host"]
}

test_an_answer_that_cannot_be_read_does_not_leave if {
	answered("research", {"status": 200, "headers": {}}).allowed == false
	answered("research", {"status": 200, "headers": {}, "body": "text"}).http_status == 502
}

test_an_error_leaves if answered("acme", {"status": 503, "headers": {}}).allowed == true

test_without_a_phase_nothing_is_allowed if authz.allow == false with input as {}
