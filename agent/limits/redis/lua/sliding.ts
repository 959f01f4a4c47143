/**
 * A window that slides, a hash: under h the sum, the newest slice with something in it, the oldest, the length of a slice (us; 0
 * where nothing was charged), how many count, and until when it is kept (ms); and what was used in each slice under its number.
 */
export const slidingLua = `
local function sliding()
  local kind = {form = '<ddddddd'}

  function kind.recut(slice, from, to) return floor(((slice + 1) * from - 1) / to) end

  local function unitsIn(c, s, slice)
    if s.slices then return s.slices[slice] or 0 end
    return tonumber(call('HGET', c.key, slice) or 0)
  end
  kind.unitsIn = unitsIn

  local function recutAll(c, s, length)
    local slices = {}
    for slice = s.oldest, s.newest do
      local units = unitsIn(c, s, slice)
      local into = kind.recut(slice, length, c.length)
      if units > 0 then slices[into] = (slices[into] or 0) + units end
    end
    s.slices, s.isRecut = slices, true
    s.oldest, s.newest = kind.recut(s.oldest, length, c.length), kind.recut(s.newest, length, c.length)
  end

  function kind.read(c)
    local s = {sum = 0, slice = floor(now / c.length), generation = 0, keptMs = 0}
    local head = call('HGET', c.key, 'h')
    if not head then return s end
    local length, _
    s.sum, s.newest, s.oldest, length, _, s.keptMs, s.generation = unpackNumbers(kind.form, head)
    if s.sum == 0 then return s end
    if length ~= c.length then recutAll(c, s, length) end
    local first = s.slice - c.count
    if s.newest < first then
      s.sum, s.isStale = 0, true
      return s
    end
    s.slice = max(s.slice, s.newest)
    if s.oldest < first then s.gone = {} end
    while s.oldest < first do
      local units = unitsIn(c, s, s.oldest)
      s.sum = s.sum - units
      if s.slices then s.slices[s.oldest] = nil elseif units > 0 then s.gone[#s.gone + 1] = s.oldest end
      s.oldest = s.oldest + 1
    end
    return s
  end

  -- What counts no more goes from the hash; what lies in other slices than before moves.
  function kind.sweep(c, s)
    if s.isStale or s.isRecut then
      call('DEL', c.key)
      s.keptMs = 0
      if not s.isStale then
        for slice, units in pairs(s.slices) do call('HSET', c.key, slice, units) end
      end
    elseif s.gone then
      for i = 1, #s.gone, 1000 do call('HDEL', c.key, unpack(s.gone, i, min(#s.gone, i + 999))) end
    end
    s.slices, s.isStale, s.isRecut, s.gone = nil, nil, nil, nil
  end

  function kind.store(c, s)
    local lifeMs = lifeOf(s, (s.newest + c.count + 2) * c.length / 1000 - nowMs)
    local isToKeep = s.keptMs < nowMs + lifeMs
    -- Longer than it must be, so that few calls have to say it.
    if isToKeep then s.keptMs = ceil(nowMs + lifeMs + c.count * c.length / 4000) end
    call('HSET', c.key, 'h', packNumbers(kind.form, s.sum, s.newest, s.oldest, c.length, c.count, s.keptMs, s.generation))
    if isToKeep then call('PEXPIRE', c.key, s.keptMs - nowMs) end
  end

  function kind.reset(c, generation)
    call('DEL', c.key)
    call('HSET', c.key, 'h', packNumbers(kind.form, 0, 0, 0, 0, 0, nowMs + resetMs, generation))
    call('PEXPIRE', c.key, resetMs)
  end

  function kind.put(c, s, units, cap)
    local put = max(0, min(units, min(cap, maxUnits) - s.sum))
    if put == 0 then return 0, s.slice, c.length end
    kind.sweep(c, s)
    call('HINCRBY', c.key, s.slice, put)
    if s.sum == 0 then s.oldest = s.slice end
    s.sum, s.newest = s.sum + put, s.slice
    kind.store(c, s)
    return put, s.slice, c.length
  end

  function kind.wait(c, s)
    local need = max(1, c.cost)
    if need > c.limit then return forever end
    local excess = s.sum + need - c.limit
    if excess <= 0 then return 0 end
    for slice = s.oldest, s.newest do
      excess = excess - unitsIn(c, s, slice)
      if excess <= 0 then return (slice + c.count + 1) * c.length - now end
    end
    return 0
  end

  function kind.tell(c, s)
    return max(0, c.limit - s.sum), s.sum == 0 and 0 or (s.newest + c.count + 1) * c.length - now
  end

  return kind
end

local function slidingBack(kind)
  local back = {}

  -- As the counter was last charged.
  local function presentSlices(part)
    local head = call('HGET', part.key, 'h')
    if not head then return part end
    local _, _, _, length, count = unpackNumbers(kind.form, head)
    return length == 0 and part or {key = part.key, length = length, count = count}
  end

  local function rescale(part, length)
    if part.scale == length then return end
    part.at = kind.recut(part.at, part.scale, length)
    for i = 1, #part.earlier, 2 do part.earlier[i] = kind.recut(part.earlier[i], part.scale, length) end
    part.scale = length
  end

  -- Gives how many there were to take. To be stored afterwards.
  local function remove(c, s, slice, units)
    local used = s.sum > 0 and kind.unitsIn(c, s, slice) or 0
    local taken = min(units, used)
    if taken == 0 then return 0 end
    s.sum = s.sum - taken
    if taken < used then call('HINCRBY', c.key, slice, -taken)
    else
      call('HDEL', c.key, slice)
      while s.sum > 0 and s.newest > s.oldest and kind.unitsIn(c, s, s.newest) == 0 do s.newest = s.newest - 1 end
    end
    return taken
  end

  function back.renew(part, c) rescale(part, c.length) end

  function back.give(part, units)
    local c = presentSlices(part)
    local s = kind.read(c)
    if s.generation ~= part.generation or s.sum == 0 then return end
    kind.sweep(c, s)
    rescale(part, c.length)
    local left = units - remove(c, s, part.at, min(units, part.left))
    for i = #part.earlier - 1, 1, -2 do
      if left > 0 then left = left - remove(c, s, part.earlier[i], min(left, part.earlier[i + 1])) end
    end
    kind.store(c, s)
  end

  function back.owe(part, units)
    local c = presentSlices(part)
    kind.put(c, kind.read(c), units, part.limit + part.debtCap)
  end

  function back.adjust(c, s, units)
    if s.sum == 0 then return end
    kind.sweep(c, s)
    while units > 0 and s.sum > 0 do units = units - remove(c, s, s.newest, units) end
    kind.store(c, s)
  end

  return back
end
`
