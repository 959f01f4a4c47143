# METADATA
# description: Nothing on the request's way may wait for a network; the agent refuses such a bundle
package custom.regal.rules.custom["network-call"]

import data.regal.ast
import data.regal.result

# METADATA
# description: Calls that `forbidden-function-call` does not see, for the agent's capabilities do not have them
report contains violation if {
	ref := ast.found.calls[_][_]
	ast.ref_to_string(ref[0].value) in {"http.send", "net.lookup_ip_addr", "rego.parse_module"}
	violation := result.fail(rego.metadata.chain(), result.location(ref))
}
