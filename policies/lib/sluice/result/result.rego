# METADATA
# title: Results with reasons
# description: |
#   A policy collects what speaks against a request, and asks for the result once:
#
#     allow := result.decide(reasons)
#
#     reasons contains result.reason("model_unknown", "This model is not on the list.") if { … }
#
#   The client reads code and message of every reason, so a message must not give the policy away. The
#   codes also stand in the result itself, which is logged.
package sluice.result

# METADATA
# description: One reason for a refusal; 403 unless it says otherwise.
reason(code, message) := {"code": code, "message": message, "status": 403}

# METADATA
# description: One reason for a refusal with its own HTTP status.
reason_with(code, message, status) := {"code": code, "message": message, "status": status}

# METADATA
# description: Allows where there is no reason against it; otherwise refuses with all of them.
decide(reasons) := decide_with(reasons, {})

# METADATA
# description: |
#   The same; what is allowed gets these keys, `{"headers": {"x-user": "ann"}}`.
# scope: document
decide_with(reasons, changes) := object.union(changes, {"allowed": true}) if count(reasons) == 0

decide_with(reasons, _) := deny(reasons) if count(reasons) > 0

# METADATA
# description: |
#   Refuses with reasons. The lowest of their statuses counts: who you are (401) comes before what you
#   may (403) and how much (429).
deny(reasons) := {
	"allowed": false,
	"http_status": min({each.status | some each in reasons}),
	"headers": {"content-type": "application/json"},
	"body": json.marshal({"errors": [{"code": each.code, "message": each.message} | some each in ordered(reasons)]}),
	"reasons": [each.code | some each in ordered(reasons)],
	"dynamic_metadata": {"reasons": [each.code | some each in ordered(reasons)]},
}

ordered(reasons) := sort([each | some each in reasons])
