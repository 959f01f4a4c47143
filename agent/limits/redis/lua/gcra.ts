/**
 * A bucket that drains: level, time up to which it is drained (us), and the rate it was last charged by: weight (0 where it never
 * was), tick, drain, capacity.
 */
export const gcraLua = `
local function gcra()
  local kind = {form = '<ddddddd'}

  function kind.read(c, value)
    value = value or call('GET', c.key)
    if not value then return {level = 0, at = now, generation = 0, wait = 0, isNew = true} end
    local level, at, weight, _, _, _, generation = unpackNumbers(kind.form, value)
    if level > 0 and weight ~= c.weight then level = min(maxUnits, ceil(level / weight * c.weight)) end
    local ticks = max(0, floor((now - at) / c.tick))
    level = max(0, level - ticks * c.drain)
    return {level = level, at = level == 0 and max(at, now) or at + ticks * c.tick, generation = generation, wait = 0}
  end

  function kind.store(c, s)
    local value = packNumbers(kind.form, s.level, s.at, c.weight, c.tick, c.drain, c.capacity, s.generation)
    local lifeMs = lifeOf(s, ceil(s.level / c.drain) * c.tick / 1000)
    if not s.isNew and call('PTTL', c.key) >= lifeMs then call('SETRANGE', c.key, 0, value)
    -- Longer than it must be, so that few calls have to say it.
    else call('SET', c.key, value, 'PX', lifeMs + ceil(lifeMs / 4)) end
  end

  function kind.reset(c, generation)
    call('SET', c.key, packNumbers(kind.form, 0, now, 0, 0, 0, 0, generation), 'PX', resetMs)
  end

  function kind.put(c, s, units, cap)
    local put = max(0, min(units * c.weight, min(cap, maxUnits) - s.level))
    s.level = s.level + put
    if put > 0 then kind.store(c, s) end
    return put, now, c.weight
  end

  function kind.wait(c, s)
    local weight = max(1, c.cost) * c.weight
    if weight > c.capacity then return forever end
    local excess = s.level - (c.capacity - weight)
    return excess <= 0 and 0 or s.at + ceil(excess / c.drain) * c.tick - now
  end

  function kind.tell(c, s)
    return max(0, floor((c.capacity - s.level) / c.weight)), s.level == 0 and 0 or s.at + ceil(s.level / c.drain) * c.tick - now
  end

  return kind
end

local function gcraBack(kind)
  local back = {}

  -- The rate that a counter was last charged by: an edit since a hold was taken goes before what the hold knows.
  local function presentRate(part)
    local value = call('GET', part.key)
    if not value then return part end
    local _, _, weight, tick, drain, capacity = unpackNumbers(kind.form, value)
    if weight == 0 then return part, value end
    return {key = part.key, weight = weight, tick = tick, drain = drain, capacity = capacity}, value
  end

  local function stillIn(part, c)
    local weight = part.scale == c.weight and part.left or floor(part.left / part.scale * c.weight)
    return max(0, weight - ceil(max(0, now - part.at) / c.tick) * c.drain)
  end

  function back.renew(part, c) part.left = stillIn(part, c) end

  function back.give(part, units)
    local c, value = presentRate(part)
    local s = kind.read(c, value)
    if s.generation ~= part.generation then return end
    s.level = max(0, s.level - min(units * c.weight, stillIn(part, c)))
    kind.store(c, s)
  end

  function back.owe(part, units)
    local c, value = presentRate(part)
    kind.put(c, kind.read(c, value), units, c.capacity + part.debtCap * c.weight)
  end

  function back.adjust(c, s, units)
    s.level = max(0, s.level - units * c.weight)
    kind.store(c, s)
  end

  return back
end
`
