# METADATA
# title: Claims of a JSON Web Token
# description: |
#   A request needs a bearer token of an issuer that `data.issuers` knows, with the scope for what it
#   asks and the tenant that the certificate proves. The subject goes on to the model server as
#   `x-user`; a client's own `x-user` does not.
package envoy.authz

import data.sluice.models
import data.sluice.result
import data.sluice.token

# METADATA
# entrypoint: true
allow := result.decide_with(reasons, {"headers": {"x-user": claims.sub}}) if claims

allow := result.deny(reasons) if not claims

claims := token.claims(data.issuers)

reasons contains result.reason_with("token_invalid", "A valid token is required.", 401) if not claims

reasons contains result.reason("scope_missing", "The token does not permit this.") if {
	claims
	not token.has_scope(claims, scope)
}

# Where a certificate says which tenant calls, the token must not say another.
reasons contains result.reason("tenant_differs", "The token is for another tenant.") if {
	models.tenant != claims.tenant
}

reasons contains result.reason("tenant_differs", "The token is for another tenant.") if {
	claims
	not claims.tenant
}

default scope := "models:read"

scope := "models:infer" if models.computes
