package envoy.authz_test

import data.envoy.authz

limits := {
	"ocr-*": {"max_elements": 100, "max_bytes": 400, "max_batch": 4, "datatypes": ["FP32"]},
	"ocr-large": {"max_elements": 1000, "max_bytes": 4000, "max_batch": 8, "datatypes": ["FP32"]},
}

tensor := {"name": "image", "datatype": "FP32", "shape": [4, 25], "elements": 100, "bytes": 400}

infer(name, tensors) := {"verb": "infer", "name": name, "inputs": tensors}

decided(model) := result if {
	result := authz.allow with input as {"serving": {"phase": "request", "model": model}} with data.models as limits
}

test_what_is_within_the_limits_is_allowed if {
	decided(infer("ocr-small", [tensor])) == {"allowed": true}
}

test_the_nearest_pattern_counts if {
	twice := object.union(tensor, {"shape": [8, 25], "elements": 200, "bytes": 800})
	decided(infer("ocr-large", [twice])).allowed == true
	decided(infer("ocr-small", [twice])).http_status == 413
}

test_all_tensors_count_together if {
	half := object.union(tensor, {"shape": [2, 30], "elements": 60, "bytes": 60})
	decided(infer("ocr-small", [half])).allowed == true
	decided(infer("ocr-small", [half, half])).reasons == ["request_too_large"]
}

test_each_limit_binds_by_itself if {
	decided(infer("ocr-small", [object.union(tensor, {"elements": 101})])).reasons == ["request_too_large"]
	decided(infer("ocr-small", [object.union(tensor, {"bytes": 401})])).reasons == ["request_too_large"]
	decided(infer("ocr-small", [object.union(tensor, {"shape": [5, 20]})])).reasons == ["request_too_large"]
	decided(infer("ocr-small", [object.union(tensor, {"datatype": "BYTES"})])).reasons == ["datatype_not_listed"]
	decided(infer("ocr-small", [object.remove(tensor, ["datatype"])])).reasons == ["datatype_not_listed"]
}

test_another_model_is_not_there if {
	decided(infer("llm", [tensor])).reasons == ["model_not_listed"]
	authz.allow.reasons == ["model_not_listed"] with input as {} with data.models as limits
}

test_what_was_not_seen_is_not_small if {
	decided({"verb": "infer", "name": "ocr-small"}).reasons == ["tensors_unseen"]
	decided(infer("ocr-small", [object.remove(tensor, ["bytes"])])).reasons == ["tensors_unseen"]
	decided({"verb": "metadata", "name": "ocr-small"}).allowed == true
}
