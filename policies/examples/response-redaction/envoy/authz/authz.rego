# METADATA
# title: What of an answer leaves the model server
# description: |
#   In the response phase the answer itself is judged. `data.redaction.outputs` maps outputs of any
#   model to the tenants that may see them; for everybody else the data of such an output is taken out.
#   Headers of `data.redaction.headers` leave for nobody. An answer that cannot be read is not let
#   through: it could hold anything.
package envoy.authz

import data.sluice.models

# METADATA
# entrypoint: true
default allow := false

allow if input.serving.phase == "request"

allow := {
	"allowed": true,
	"redact": redacted,
	"response_headers_to_remove": data.redaction.headers,
} if {
	input.serving.phase == "response"
	readable
}

allow := {
	"allowed": false,
	"http_status": 502,
	"headers": {"content-type": "application/json"},
	"body": json.marshal({"error": "The answer could not be checked."}),
} if {
	input.serving.phase == "response"
	not readable
}

# An error says what is wrong, and has no outputs.
readable if input.serving.response.status >= 400

readable if is_array(input.serving.response.body.outputs)

# JSON pointers into the answer (RFC 6901).
redacted contains pointer if {
	some position, output in input.serving.response.body.outputs
	permitted := data.redaction.outputs[output.name]
	not visible(permitted)
	pointer := sprintf("/outputs/%d/data", [position])
}

# A rule of its own: inside `not`, a tenant that is not known would make the whole line undefined, and
# the output visible.
visible(permitted) if models.tenant in permitted
