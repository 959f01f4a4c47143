package sluice.schedule_test

import data.sluice.schedule

at(text) := time.parse_rfc3339_ns(text)

office := {"days": ["mon", "tue", "wed", "thu", "fri"], "from": "08:00", "to": "18:00", "zone": "Asia/Dubai"}

night := {"days": ["fri"], "from": "22:00", "to": "06:00", "zone": "Europe/Berlin"}

# 2 March 2026 is a Monday; Dubai is four hours ahead of UTC.
test_a_window_begins_and_ends_where_its_zone_says if {
	schedule.within(office, at("2026-03-02T04:00:00Z"))
	schedule.within(office, at("2026-03-02T13:59:59Z"))
	not schedule.within(office, at("2026-03-02T03:59:59Z"))
	not schedule.within(office, at("2026-03-02T14:00:00Z"))
}

test_a_day_is_the_day_of_its_zone if {
	# Sunday in UTC, Monday in Dubai; Friday in UTC, Saturday in Dubai.
	late := object.union(office, {"from": "00:00", "to": "02:00"})
	schedule.within(late, at("2026-03-01T21:00:00Z"))
	not schedule.within(late, at("2026-03-06T21:00:00Z"))
}

test_a_window_over_midnight_belongs_to_the_evening_it_began if {
	schedule.within(night, at("2026-03-06T22:30:00+01:00"))
	schedule.within(night, at("2026-03-07T05:59:00+01:00"))
	not schedule.within(night, at("2026-03-07T06:00:00+01:00"))
	not schedule.within(night, at("2026-03-06T05:00:00+01:00"))
	not schedule.within(night, at("2026-03-07T22:30:00+01:00"))
}

test_a_window_follows_summer_time if {
	schedule.within(night, at("2026-07-03T22:30:00+02:00"))
	not schedule.within(night, at("2026-07-03T22:30:00+03:00"))
}

# Berlin goes on to summer time on Sunday, 29 March 2026: half past midnight on Monday, 24 hours ago
# it was still Saturday.
test_yesterday_is_not_always_24_hours_ago if {
	sunday := {"days": ["sun"], "from": "22:00", "to": "02:00", "zone": "Europe/Berlin"}
	schedule.within(sunday, at("2026-03-30T00:30:00+02:00"))
	not schedule.within(object.union(sunday, {"days": ["sat"]}), at("2026-03-30T00:30:00+02:00"))
}

test_without_days_and_zone_it_is_every_day_in_utc if {
	window := {"from": "09:00", "to": "10:00"}
	schedule.within(window, at("2026-03-01T09:00:00Z"))
	schedule.within(window, at("2026-03-04T09:59:59Z"))
	not schedule.within(window, at("2026-03-04T10:00:00Z"))
}

test_the_whole_day if {
	schedule.within({"from": "00:00", "to": "24:00"}, at("2026-03-01T23:59:59Z"))
	schedule.within({"from": "08:00", "to": "08:00"}, at("2026-03-01T07:00:00Z"))
}

test_a_window_with_a_slip_is_never if {
	not schedule.within({"from": "8:00", "to": "18:00"}, at("2026-03-01T09:00:00Z"))
	not schedule.within({"from": "08:00", "to": "25:00"}, at("2026-03-01T09:00:00Z"))
	not schedule.within({"from": "08:00", "to": "18:00", "zone": "Mars/Base"}, at("2026-03-01T09:00:00Z"))
}

test_one_window_of_several_is_enough if {
	schedule.within_any([night, office], at("2026-03-02T05:00:00Z"))
	not schedule.within_any([], at("2026-03-02T05:00:00Z"))
}
