# METADATA
# title: When a model may be used
# description: |
#   `data.windows` maps patterns of model names to the times in which such a model may compute; the
#   longest pattern that fits counts. A model without windows may compute at any time. Asking after a
#   model is always allowed.
#
#     {"batch-*": [{"from": "22:00", "to": "06:00", "zone": "Asia/Dubai"}]}
package envoy.authz

import data.sluice.models
import data.sluice.result
import data.sluice.schedule

# METADATA
# entrypoint: true
allow := result.decide(reasons)

reasons contains result.reason_with("closed", "The model is not available at this time.", 503) if {
	models.computes
	windows := data.windows[models.best(object.keys(data.windows), models.name)]
	not schedule.within_any(windows, time.now_ns())
}

# Whatever model is meant: it was not seen.
reasons contains result.reason("model_unseen", "The model could not be determined.") if {
	models.computes
	not models.name
}

reasons contains result.reason("call_unknown", "This is no call of a model.") if not input.serving.model.verb
