package envoy.authz_test

import data.envoy.authz

windows := {
	"batch-*": [{"from": "22:00", "to": "06:00", "zone": "Asia/Dubai"}],
	"trading": [{"days": ["mon"], "from": "08:00", "to": "17:30", "zone": "Europe/London"}],
}

decided(model, moment) := result if {
	result := authz.allow with input as {"serving": {"phase": "request", "model": model}}
		with data.windows as windows
		with time.now_ns as time.parse_rfc3339_ns(moment)
}

infer(name) := {"verb": "infer", "name": name}

test_a_model_computes_within_its_windows if {
	decided(infer("batch-scores"), "2026-03-02T23:00:00+04:00").allowed == true
	decided(infer("batch-scores"), "2026-03-03T05:59:00+04:00").allowed == true
	decided(infer("trading"), "2026-03-02T08:00:00Z").allowed == true
}

test_outside_of_them_it_is_closed if {
	decided(infer("batch-scores"), "2026-03-02T12:00:00+04:00").http_status == 503
	decided(infer("trading"), "2026-03-02T17:30:00Z").reasons == ["closed"]
	decided(infer("trading"), "2026-03-03T12:00:00Z").reasons == ["closed"]
}

test_london_has_summer_time if {
	decided(infer("trading"), "2026-07-06T07:00:00Z").allowed == true
	decided(infer("trading"), "2026-03-02T07:00:00Z").allowed == false
}

test_other_models_are_always_open if decided(infer("fraud"), "2026-03-02T12:00:00Z").allowed == true

test_asking_after_a_model_is_always_allowed if {
	decided({"verb": "metadata", "name": "trading"}, "2026-03-07T00:00:00Z").allowed == true
}

test_an_unseen_model_is_refused if {
	decided({"verb": "infer"}, "2026-03-02T12:00:00Z").reasons == ["model_unseen"]
	authz.allow.reasons == ["call_unknown"] with input as {}
}
