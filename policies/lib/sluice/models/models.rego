# METADATA
# title: Models, tenants and the tensors that are sent
package sluice.models

# METADATA
# description: Whether a pattern names a model. A trailing `*` stands for any rest, all else for itself.
# scope: document
matches(pattern, name) if {
	not endswith(pattern, "*")
	pattern == name
}

matches(pattern, name) if {
	endswith(pattern, "*")
	startswith(name, trim_suffix(pattern, "*"))
}

# METADATA
# description: Whether one of several patterns names a model.
listed(patterns, name) if {
	some pattern in patterns
	matches(pattern, name)
}

# METADATA
# description: The pattern of several that fits a model best, which is the longest.
best(patterns, name) := found if {
	fitting := [pattern |
		some pattern in patterns
		matches(pattern, name)
	]
	longest := max([count(pattern) | some pattern in fitting])
	found := [pattern |
		some pattern in fitting
		count(pattern) == longest
	][0]
}

# METADATA
# description: The model that is called.
name := input.serving.model.name

# METADATA
# description: The tenant that calls.
tenant := input.serving.tenant.name

# METADATA
# description: Verbs that make a model compute.
computing := {"infer", "stream_infer", "generate", "generate_stream"}

# METADATA
# description: Whether the call makes a model compute.
computes if input.serving.model.verb in computing

# METADATA
# description: Elements of all tensors that are sent; undefined where one of them is not known.
elements := sum([tensor.elements | some tensor in input.serving.model.inputs]) if {
	every tensor in input.serving.model.inputs {
		tensor.elements >= 0
	}
}

# METADATA
# description: Bytes of all tensors that are sent; undefined where one of them is not known.
bytes := sum([tensor.bytes | some tensor in input.serving.model.inputs]) if {
	every tensor in input.serving.model.inputs {
		tensor.bytes >= 0
	}
}
