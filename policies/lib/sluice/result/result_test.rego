package sluice.result_test

import data.sluice.result

test_nothing_against_it_allows if result.decide(set()) == {"allowed": true}

test_what_is_allowed_may_be_changed if {
	result.decide_with(set(), {"headers": {"x-user": "ann"}}) == {"allowed": true, "headers": {"x-user": "ann"}}
}

test_a_change_cannot_allow if {
	reasons := {result.reason("no", "No.")}
	result.decide_with(reasons, {"allowed": true}).allowed == false
}

test_reasons_are_told_in_order if {
	denied := result.decide({result.reason("b", "B."), result.reason("a", "A.")})
	denied.allowed == false
	denied.http_status == 403
	denied.reasons == ["a", "b"]
	json.unmarshal(denied.body) == {"errors": [
		{"code": "a", "message": "A."},
		{"code": "b", "message": "B."},
	]}
	denied.dynamic_metadata == {"reasons": ["a", "b"]}
}

test_the_lowest_status_counts if {
	result.decide({result.reason("no", "No."), result.reason_with("who", "Who?", 401)}).http_status == 401
	result.decide({result.reason_with("much", "Slower.", 429)}).http_status == 429
}
