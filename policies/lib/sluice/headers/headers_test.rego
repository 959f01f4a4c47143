package sluice.headers_test

import data.sluice.headers

joined(map) := {"attributes": {"request": {"http": {"headers": map}}}}

raw(list) := {"attributes": {"request": {"http": {"headers": {}, "headerMap": {"headers": list}}}}}

test_a_header_is_found_in_any_case if {
	headers.single("X-Tenant") == "acme" with input as joined({"x-tenant": "acme"})
	headers.single("x-tenant") == "acme" with input as raw([{"key": "X-Tenant", "value": "acme"}])
}

test_octets_are_read_from_base64 if {
	headers.single("x-tenant") == "acme" with input as raw([{"key": "x-tenant", "rawValue": "YWNtZQ=="}])
}

test_a_repeated_header_is_not_single if {
	not headers.single("x-tenant") with input as joined({"x-tenant": "acme,globex"})
	not headers.single("x-tenant") with input as raw([
		{"key": "x-tenant", "value": "acme"},
		{"key": "x-tenant", "value": "globex"},
	])
	not headers.single("x-tenant") with input as raw([{"key": "x-tenant", "value": "acme"}, {"key": "X-Tenant"}])
}

test_an_absent_header_has_no_value if {
	headers.values("x-tenant") == [] with input as joined({})
	headers.values("x-tenant") == [] with input as raw([])
	headers.values("x-tenant") == [] with input as {}
	not headers.single("x-tenant") with input as {}
	not headers.present("x-tenant") with input as {}
}

test_a_header_is_present_even_when_empty if {
	headers.present("x-tenant") with input as joined({"x-tenant": ""})
	headers.present("x-tenant") with input as raw([{"key": "x-tenant"}])
}

test_values_keep_their_order if {
	headers.values("via") == ["b", "a"] with input as raw([
		{"key": "via", "value": "b"},
		{"key": "other", "value": "c"},
		{"key": "via", "value": "a"},
	])
}

test_a_list_is_split_over_all_values if {
	headers.list("accept") == ["a", "b", "c"] with input as raw([
		{"key": "accept", "value": "a, b,"},
		{"key": "accept", "value": "c"},
	])
	headers.list("accept") == ["a", "b"] with input as joined({"accept": "a,b"})
}
