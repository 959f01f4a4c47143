/** Reads charges, looks at their counters, and tells what they say. */
export const statesLua = `
-- What \`pack.ts\` wrote of one charge, from a place on, and where the next begins.
local function chargeAt(packed, first, key)
  local letter = string.sub(packed, first, first)
  -- All fields at once: a table that grows is copied again and again. And no more than 16: from there on it takes twice the room.
  if letter == 'g' then
    local _, index, cost, flags, debtCap, tick, weight, drain, capacity, after = unpackNumbers('<c1dddddddd', packed, first)
    return {
      kind = letter, key = key, index = index, cost = cost, flags = flags, debtCap = debtCap,
      tick = tick, weight = weight, drain = drain, capacity = capacity,
      packed = string.sub(packed, first, after - 1), reserved = cost, left = 0, at = 0, scale = 1, generation = 0
    }, after
  elseif letter == 's' then
    local _, index, cost, flags, debtCap, limit, length, count, after = unpackNumbers('<c1ddddddd', packed, first)
    return {
      kind = letter, key = key, index = index, cost = cost, flags = flags, debtCap = debtCap,
      limit = limit, length = length, count = count, earlier = 0,
      packed = string.sub(packed, first, after - 1), reserved = cost, left = 0, at = 0, scale = 1, generation = 0
    }, after
  elseif letter == 'c' then
    local _, index, cost, flags, debtCap, limit, before, from, to, behind, after = unpackNumbers('<c1ddddddddd', packed, first)
    return {
      kind = letter, key = key, index = index, cost = cost, flags = flags, debtCap = debtCap,
      limit = limit, from = {before, from, to, behind},
      packed = string.sub(packed, first, after - 1), reserved = cost, left = 0, at = 0, scale = 1, generation = 0
    }, after
  end
  local _, index, cost, flags, debtCap, limit, after = unpackNumbers('<c1ddddd', packed, first)
  return {
    kind = letter, key = key, index = index, cost = cost, flags = flags, debtCap = debtCap, limit = limit,
    packed = string.sub(packed, first, after - 1), reserved = cost, left = 0, at = 0, scale = 1, generation = 0
  }, after
end

-- One for each of the keys from firstKey on.
local function charges(firstKey, packed)
  local list, at = {}, 1
  for i = 1, #keys - firstKey + 1 do list[i], at = chargeAt(packed, at, keys[firstKey + i - 1]) end
  return list
end

local function isEnforced(c) return c.flags % 2 == 1 end

-- Whether what was counted before the memory was lost could still matter. Who resets a counter by hand knows it.
local function isLost(c, s)
  if lostMs == 0 or c.flags ~= 3 then return false end
  local lost = lostMs * 1000
  if s.generation > lost then return false end
  if c.kind == 'g' then return now < lost + ceil(c.capacity / c.drain) * c.tick end
  if c.kind == 's' then return now < lost + (c.count + 1) * c.length end
  if c.kind == 'c' then return s.startMs <= lostMs end
  return nowMs < lostMs + lifeMs
end

-- The states and whether an enforced charge is over; or the answer where there can be none: T where the calendar that came
-- does not reach to the present, L with the number of the charge that a loss of memory refuses.
local function look(list, isTopUp)
  local states, isRefused = {}, false
  for i, c in ipairs(list) do
    local kind = kindOf(c.kind)
    local s = kind.read(c)
    if not s then return nil, nil, answer('T') end
    if isTopUp and c.cost == 0 then s.wait = 0
    else
      if isLost(c, s) then return nil, nil, answer('L', {c.index}) end
      s.wait = kind.wait(c, s)
    end
    if s.wait ~= 0 and isEnforced(c) then isRefused = true end
    states[i] = s
  end
  return states, isRefused
end

local function tell(list, states)
  local numbers = {}
  for i, c in ipairs(list) do
    local s = states[i]
    local remaining, untilReset = kindOf(c.kind).tell(c, s)
    numbers[3 * i - 2], numbers[3 * i - 1], numbers[3 * i] = remaining, s.wait, untilReset
  end
  return numbers
end
`
