/**
 * A bucket that drains: l level, t time up to which it is drained (us), and the rate it was last charged by: w weight, k tick,
 * d drain, c capacity.
 */
export const gcraLua = `
local function gcra()
  local kind = {}

  function kind.read(c)
    local v = call('HMGET', c.key, 'l', 't', 'w', 'k', 'd', 'c', 'g', 'x')
    local s = {level = 0, at = now, generation = v[7] or '', keptMs = tonumber(v[8] or 0), isSameRate = false}
    if v[1] then
      local level, at, weight = tonumber(v[1]), tonumber(v[2]), tonumber(v[3])
      if weight ~= c.weight then level = min(maxUnits, ceil(level / weight * c.weight)) end
      s.isSameRate = weight == c.weight and tonumber(v[4]) == c.tick and tonumber(v[5]) == c.drain and tonumber(v[6]) == c.capacity
      local ticks = max(0, floor((now - at) / c.tick))
      s.level = max(0, level - ticks * c.drain)
      s.at = s.level == 0 and max(at, now) or at + ticks * c.tick
    end
    return s
  end

  function kind.store(c, s)
    if s.isSameRate then call('HSET', c.key, 'l', s.level, 't', s.at)
    else call('HSET', c.key, 'l', s.level, 't', s.at, 'w', c.weight, 'k', c.tick, 'd', c.drain, 'c', c.capacity) end
    keep(c.key, s, ceil(s.level / c.drain) * c.tick / 1000)
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
    local v = call('HMGET', part.key, 'w', 'k', 'd', 'c')
    if not v[1] then return part end
    return {
      key = part.key, weight = tonumber(v[1]), tick = tonumber(v[2]), drain = tonumber(v[3]), capacity = tonumber(v[4])
    }
  end

  local function stillIn(part, c)
    local weight = part.scale == c.weight and part.left or floor(part.left / part.scale * c.weight)
    return max(0, weight - ceil(max(0, now - part.at) / c.tick) * c.drain)
  end

  function back.renew(part, c) part.left = stillIn(part, c) end

  function back.give(part, units)
    local c = presentRate(part)
    local s = kind.read(c)
    if s.generation ~= part.generation then return end
    s.level = max(0, s.level - min(units * c.weight, stillIn(part, c)))
    kind.store(c, s)
  end

  function back.owe(part, units)
    local c = presentRate(part)
    kind.put(c, kind.read(c), units, c.capacity + part.debtCap * c.weight)
  end

  function back.adjust(c, s, units)
    s.level = max(0, s.level - units * c.weight)
    kind.store(c, s)
  end

  return back
end
`
