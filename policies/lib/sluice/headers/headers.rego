# METADATA
# title: Request headers, also those that were sent more than once
# description: |
#   `input.attributes.request.http.headers` joins the values of a repeated header with a comma, so that
#   a second `authorization` hides behind the first. Where Envoy sends raw headers (`headerMap`) each
#   value is known by itself.
package sluice.headers

# METADATA
# description: |
#   Every value of a header as it was sent; joined ones are one value where Envoy sends no raw headers.
# scope: document
values(name) := [value(entry) |
	some entry in input.attributes.request.http.headerMap.headers
	lower(entry.key) == lower(name)
] if {
	input.attributes.request.http.headerMap
} else := [joined] if {
	joined := input.attributes.request.http.headers[lower(name)]
} else := []

# METADATA
# description: |
#   The value of a header that must be sent once. Undefined where it is absent or repeated, and so where
#   a comma could stand between two: for credentials, names and numbers, which have none.
single(name) := found if {
	[found] = values(name)
	not contains(found, ",")
}

# METADATA
# description: The elements of a header that is a list (RFC 9110, 5.6.1), of every value that was sent.
list(name) := [element |
	some one in values(name)
	some part in split(one, ",")
	element := trim_space(part)
	element != ""
]

# METADATA
# description: Whether a header was sent at all.
present(name) if count(values(name)) > 0

# What is empty is left out of the input.
value(entry) := object.get(entry, "value", base64.decode(object.get(entry, "rawValue", "")))
