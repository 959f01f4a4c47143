package sluice.models_test

import data.sluice.models

test_a_pattern_is_literal_but_for_a_trailing_star if {
	models.matches("fraud", "fraud")
	not models.matches("fraud", "fraud2")
	models.matches("ocr-*", "ocr-large")
	models.matches("*", "anything")
	not models.matches("ocr-*", "xocr-large")
	not models.matches("o*r", "ocr")
	not models.matches("o.r", "ocr")
}

test_one_pattern_of_a_list_is_enough if {
	models.listed(["fraud", "ocr-*"], "ocr-small")
	not models.listed(["fraud", "ocr-*"], "llm")
	not models.listed([], "llm")
}

test_the_longest_pattern_fits_best if {
	models.best({"*", "ocr-*", "ocr-large"}, "ocr-large") == "ocr-large"
	models.best({"*", "ocr-*", "ocr-large"}, "ocr-small") == "ocr-*"
	not models.best({"ocr-*"}, "llm")
}

test_tensors_are_summed if {
	asked := {"serving": {"model": {"verb": "infer", "name": "fraud", "inputs": [
		{"name": "a", "elements": 3, "bytes": 12},
		{"name": "b", "elements": 4, "bytes": 4},
	]}}}
	models.elements == 7 with input as asked
	models.bytes == 16 with input as asked
	models.computes with input as asked
	models.name == "fraud" with input as asked
}

test_the_tenant_is_who_calls if {
	models.tenant == "acme" with input as {"serving": {"tenant": {"name": "acme", "models": []}}}
	not models.tenant with input as {"serving": {}}
}

test_nothing_is_known_of_tensors_that_were_not_seen if {
	not models.elements with input as {"serving": {"model": {"verb": "infer"}}}
	not models.bytes with input as {}
	not models.computes with input as {"serving": {"model": {"verb": "metadata"}}}
}

test_one_unknown_tensor_makes_the_sum_unknown if {
	asked := {"serving": {"model": {"verb": "infer", "inputs": [{"name": "a", "elements": 3}, {"name": "b", "bytes": 4}]}}}
	not models.elements with input as asked
	not models.bytes with input as asked
}
