# In the manner of the tutorial for Istio: users by basic authentication, roles and grants as tables, a path that is open.
package envoy.authz

import input.attributes.request.http as http_request
import input.parsed_path

default allow := false

allow if {
	parsed_path[0] == "health"
	http_request.method == "GET"
}

allow if {
	some role in roles[user.name]
	some grant in grants[role]
	grant.method == http_request.method
	grant.path == http_request.path
}

user := {"name": name, "secret": secret} if {
	[_, encoded] := split(http_request.headers.authorization, " ")
	[name, secret] := split(base64url.decode(encoded), ":")
}

roles := {"alice": ["guest"], "bob": ["admin"]}

grants := {
	"guest": [{"method": "GET", "path": "/productpage"}],
	"admin": [
		{"method": "GET", "path": "/productpage"},
		{"method": "GET", "path": "/people?limit=1"},
		{"method": "POST", "path": "/people"},
	],
}
