/** Reads charges, looks at their counters, and tells what they say. */
export const statesLua = `
-- KEYS from firstKey, and ten ARGV for each from first on.
local function charges(firstKey, first)
  local list = {}
  for i = firstKey, #KEYS do
    local at = first + (i - firstKey) * 10
    local kind, flags = ARGV[at], tonumber(ARGV[at + 2])
    local c = {
      kind = kind, key = KEYS[i], cost = tonumber(ARGV[at + 1]), isEnforced = flags % 2 == 1, isRefusedAfterLoss = flags > 1,
      debtCap = tonumber(ARGV[at + 3]), index = tonumber(ARGV[at + 9])
    }
    if c.debtCap == forever then c.debtCap = maxUnits end
    local a, b, d = tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]), tonumber(ARGV[at + 6])
    if kind == 'g' then c.tick, c.weight, c.drain, c.capacity = a, b, d, tonumber(ARGV[at + 7])
    elseif kind == 's' then c.limit, c.length, c.count = a, b, d
    elseif kind == 'c' then c.limit, c.from = a, {b, d, tonumber(ARGV[at + 7]), tonumber(ARGV[at + 8])}
    else c.limit = a end
    list[#list + 1] = c
  end
  return list
end

local function usedOf(s) return s.sum or s.used or s.running end

-- Until the charge passes: 0 where it does now, forever where it never will.
local function wait(c, s)
  if c.kind == 'g' then
    local weight = max(1, c.cost) * c.weight
    if weight > c.capacity then return forever end
    local excess = s.level - (c.capacity - weight)
    return excess <= 0 and 0 or s.at + ceil(excess / c.drain) * c.tick - now
  end
  local need = max(1, c.cost)
  if need > c.limit then return forever end
  local excess = usedOf(s) + need - c.limit
  if excess <= 0 then return 0 end
  if c.kind == 'c' then return (s.endMs - nowMs) * 1000 end
  if c.kind == 'r' then return 1000000 end
  for slice = s.oldest, s.newest do
    excess = excess - unitsIn(c, s, slice)
    if excess <= 0 then return (slice + c.count + 1) * c.length - now end
  end
  return 0
end

local function remaining(c, s)
  if c.kind == 'g' then return max(0, floor((c.capacity - s.level) / c.weight)) end
  return max(0, c.limit - usedOf(s))
end

local function untilReset(c, s)
  if c.kind == 'g' then return s.level == 0 and 0 or s.at + ceil(s.level / c.drain) * c.tick - now end
  if c.kind == 'r' or usedOf(s) == 0 then return 0 end
  if c.kind == 'c' then return (s.endMs - nowMs) * 1000 end
  return (s.newest + c.count + 1) * c.length - now
end

-- Whether what was counted before the memory was lost could still matter. Who resets a counter by hand knows it.
local function isLost(c, s)
  if lostMs == 0 or not c.isEnforced or not c.isRefusedAfterLoss then return false end
  local lost = lostMs * 1000
  if s.generation ~= '' and tonumber(s.generation) > lost then return false end
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
    local s = readers[c.kind](c)
    if not s then return nil, nil, answer('T') end
    if isTopUp and c.cost == 0 then s.wait = 0
    else
      if isLost(c, s) then return nil, nil, answer('L', ' ' .. text(c.index)) end
      s.wait = wait(c, s)
    end
    if s.wait ~= 0 and c.isEnforced then isRefused = true end
    states[i] = s
  end
  return states, isRefused
end

local function tell(list, states)
  local parts = {}
  for i, c in ipairs(list) do
    local s = states[i]
    parts[i] = ' ' .. text(remaining(c, s)) .. ' ' .. text(s.wait) .. ' ' .. text(untilReset(c, s))
  end
  return table.concat(parts)
end
`
