/** A span of a calendar: u used, s and e begin and end of the span (ms). */
export const calendarLua = `
local function calendar()
  local kind = {}

  -- Begin and end of the span that holds the present; nothing where the caller has to send others.
  function kind.presentSpan(c)
    local from = c.from
    for i = 1, 3 do
      if nowMs >= from[i] and nowMs < from[i + 1] then return from[i], from[i + 1] end
    end
  end

  function kind.read(c)
    local startMs, endMs = kind.presentSpan(c)
    if not startMs then return end
    local v = call('HMGET', c.key, 'u', 's', 'e', 'g', 'x')
    local s = {
      used = 0, startMs = startMs, endMs = endMs, generation = v[4] or '', keptMs = tonumber(v[5] or 0), isSame = false
    }
    if not v[1] then return s end
    local ownStartMs, ownEndMs = tonumber(v[2]), tonumber(v[3])
    if nowMs < ownEndMs then
      s.used = tonumber(v[1])
      -- A clock that went back before the span does not open the one before again.
      if nowMs < ownStartMs then s.startMs, s.endMs = ownStartMs, ownEndMs end
      s.isSame = s.startMs == ownStartMs and s.endMs == ownEndMs
    end
    return s
  end

  function kind.store(c, s)
    if s.isSame then call('HSET', c.key, 'u', s.used)
    else call('HSET', c.key, 'u', s.used, 's', s.startMs, 'e', s.endMs) end
    keep(c.key, s, s.endMs - nowMs)
  end

  function kind.put(c, s, units, cap)
    local put = max(0, min(units, min(cap, maxUnits) - s.used))
    s.used = s.used + put
    if put > 0 then kind.store(c, s) end
    return put, s.startMs, 1
  end

  function kind.wait(c, s)
    local need = max(1, c.cost)
    if need > c.limit then return forever end
    return s.used + need <= c.limit and 0 or (s.endMs - nowMs) * 1000
  end

  function kind.tell(c, s)
    return max(0, c.limit - s.used), s.used == 0 and 0 or (s.endMs - nowMs) * 1000
  end

  return kind
end

local function calendarBack(kind)
  local back = {}

  -- Where nobody sent the spans of the present: the counter's own, or from now on as long as the last that is known.
  local function guessSpan(part)
    if kind.presentSpan(part) then return end
    local endMs = tonumber(call('HGET', part.key, 'e') or 0)
    local startMs = endMs > nowMs and tonumber(call('HGET', part.key, 's')) or nowMs
    local lengthMs = part.from[4] - part.from[3]
    if endMs <= nowMs then endMs = nowMs + lengthMs end
    part.from = {startMs, endMs, endMs, endMs}
  end

  function back.renew() end

  function back.give(part, units)
    local v = call('HMGET', part.key, 'u', 's', 'e', 'g')
    if not v[1] or (v[4] or '') ~= part.generation then return end
    if tonumber(v[2]) ~= part.at or nowMs >= tonumber(v[3]) then return end
    local used = tonumber(v[1])
    call('HSET', part.key, 'u', used - min(used, units, part.left))
  end

  function back.owe(part, units)
    guessSpan(part)
    kind.put(part, kind.read(part), units, part.limit + part.debtCap)
  end

  function back.adjust(c, s, units)
    s.used = max(0, s.used - units)
    kind.store(c, s)
  end

  return back
end
`
