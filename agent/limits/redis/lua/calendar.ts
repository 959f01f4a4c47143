/** A span of a calendar: what was used in it, its begin and its end (ms). */
export const calendarLua = `
local function calendar()
  local kind = {form = '<dddd'}

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
    local value = call('GET', c.key)
    if not value then return {used = 0, startMs = startMs, endMs = endMs, generation = 0, wait = 0} end
    local used, ownStartMs, ownEndMs, generation = unpackNumbers(kind.form, value)
    local isKept = ownStartMs == startMs and ownEndMs == endMs
    if nowMs >= ownEndMs then used = 0
    -- A clock that went back before the span does not open the one before again.
    elseif nowMs < ownStartMs then startMs, endMs = ownStartMs, ownEndMs end
    return {used = used, startMs = startMs, endMs = endMs, generation = generation, wait = 0, isKept = isKept}
  end

  function kind.store(c, s)
    local value = packNumbers(kind.form, s.used, s.startMs, s.endMs, s.generation)
    -- It ends with its span, which was said when the span came.
    if s.isKept then call('SETRANGE', c.key, 0, value)
    else call('SET', c.key, value, 'PX', lifeOf(s, s.endMs - nowMs)) end
  end

  function kind.reset(c, generation) call('SET', c.key, packNumbers(kind.form, 0, 0, 0, generation), 'PX', resetMs) end

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
    local value, startMs, endMs, _ = call('GET', part.key), 0, 0
    if value then _, startMs, endMs = unpackNumbers(kind.form, value) end
    if endMs <= nowMs then startMs, endMs = nowMs, nowMs + part.from[4] - part.from[3] end
    part.from = {startMs, endMs, endMs, endMs}
  end

  function back.renew() end

  function back.give(part, units)
    local value = call('GET', part.key)
    if not value then return end
    local used, startMs, endMs, generation = unpackNumbers(kind.form, value)
    if generation ~= part.generation or startMs ~= part.at or nowMs >= endMs then return end
    local s = {used = used - min(used, units, part.left), startMs = startMs, endMs = endMs, generation = generation, isKept = true}
    kind.store(part, s)
  end

  -- An edit since goes before what the hold knows: its period could end too early.
  function back.owe(part, units)
    local value, s = call('GET', part.key), nil
    if value then
      local used, startMs, endMs, generation = unpackNumbers(kind.form, value)
      if nowMs < endMs then s = {used = used, startMs = startMs, endMs = endMs, generation = generation} end
    end
    if not s then guessSpan(part) end
    kind.put(part, s or kind.read(part), units, part.limit + part.debtCap)
  end

  function back.adjust(c, s, units)
    s.used = max(0, s.used - units)
    kind.store(c, s)
  end

  return back
end
`
