# METADATA
# title: Which models, and how large a request
# description: |
#   Only listed models may be called, and each with no more than it is good for. `data.models` maps
#   patterns to limits; the longest pattern that fits counts. `max_batch` bounds the first dimension of
#   every tensor.
#
#     {"ocr-*": {"max_elements": 1000000, "max_bytes": 4194304, "max_batch": 8, "datatypes": ["UINT8"]}}
#
#   What was not seen is not small: a call that computes without known tensors is refused where a limit
#   is set.
package envoy.authz

import data.sluice.models
import data.sluice.result

# METADATA
# entrypoint: true
allow := result.decide(reasons)

limits := data.models[models.best(object.keys(data.models), models.name)]

tensors := input.serving.model.inputs

reasons contains result.reason("model_not_listed", "This model is not available.") if not limits

reasons contains result.reason("tensors_unseen", "The size of the request could not be determined.") if {
	models.computes
	count(limits) > 0
	not measured
}

reasons contains too_large if {
	models.computes
	models.elements > limits.max_elements
}

reasons contains too_large if {
	models.computes
	models.bytes > limits.max_bytes
}

reasons contains too_large if {
	models.computes
	some tensor in tensors
	tensor.shape[0] > limits.max_batch
}

reasons contains result.reason_with("datatype_not_listed", "The model does not take this kind of tensor.", 400) if {
	models.computes
	some tensor in tensors
	limits.datatypes
	not typed(tensor)
}

too_large := result.reason_with("request_too_large", "The request is larger than this model takes.", 413)

typed(tensor) if tensor.datatype in limits.datatypes

measured if {
	models.elements >= 0
	models.bytes >= 0
}
