# METADATA
# title: Time windows in time zones
# description: |
#   A window is `{"days": ["mon", "fri"], "from": "08:00", "to": "18:00", "zone": "Asia/Dubai"}`: from
#   its first minute up to, but without, its last. One that ends before it begins goes on to the next
#   morning. Without `days` it is every day, without `zone` it is UTC.
package sluice.schedule

# METADATA
# description: Whether a moment, in nanoseconds, lies in a window.
# scope: document
within(window, ns) if {
	on(window, ns)
	now := minute(ns, zone(window))
	now >= clock(window.from)
	now < clock(window.to)
}

# The evening of a window that goes on over midnight.
within(window, ns) if {
	clock(window.to) <= clock(window.from)
	on(window, ns)
	minute(ns, zone(window)) >= clock(window.from)
}

# Its morning: the day that counts is yesterday.
within(window, ns) if {
	clock(window.to) <= clock(window.from)
	falls(window, yesterday[day(ns, window)])
	minute(ns, zone(window)) < clock(window.to)
}

# METADATA
# description: Whether a moment lies in one of several windows.
within_any(windows, ns) if {
	some window in windows
	within(window, ns)
}

on(window, ns) if falls(window, day(ns, window))

falls(window, _) if not window.days

falls(window, name) if {
	some each in window.days
	lower(substring(each, 0, 3)) == name
}

day(ns, window) := substring(lower(time.weekday([ns, zone(window)])), 0, 3)

# Not 24 hours before: a day of summer time's beginning or end has 23 or 25.
yesterday := {"mon": "sun", "tue": "mon", "wed": "tue", "thu": "wed", "fri": "thu", "sat": "fri", "sun": "sat"}

zone(window) := object.get(window, "zone", "UTC")

minute(ns, name) := (hour * 60) + past if [hour, past, _] = time.clock([ns, name])

# Undefined for what is no time of the day, so that no moment is within a window with a slip.
clock(text) := (to_number(trim_left_zero(hour)) * 60) + to_number(trim_left_zero(past)) if {
	regex.match(`^(?:[01]\d|2[0-3]):[0-5]\d$|^24:00$`, text)
	[hour, past] = split(text, ":")
}

trim_left_zero(digits) := substring(digits, 1, -1) if startswith(digits, "0")

trim_left_zero(digits) := digits if not startswith(digits, "0")
