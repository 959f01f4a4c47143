/** Reads charges, looks at their counters, and tells what they say. */
export const statesLua = `
-- KEYS from firstKey, and for each what \`pack.ts\` says, from ARGV first on.
local function charges(firstKey, first)
  local list, at, args = {}, first, ARGV
  for i = firstKey, #KEYS do
    local kind, index, cost = args[at], tonumber(args[at + 1]), tonumber(args[at + 2])
    local flags, a, b = tonumber(args[at + 3]), tonumber(args[at + 4]), tonumber(args[at + 5])
    local isEnforced, isRefusedAfterLoss = flags % 2 == 1, flags > 1
    -- All fields at once: a table that grows is copied again and again.
    local c = {
      kind = kind, key = KEYS[i], index = index, cost = cost, isEnforced = isEnforced, isRefusedAfterLoss = isRefusedAfterLoss,
      debtCap = a, reserved = cost, left = 0, at = 0, scale = 1, generation = '', limit = b
    }
    if kind == 'g' then
      c.limit = nil
      c.tick, c.weight = b, tonumber(args[at + 6])
      c.drain, c.capacity = tonumber(args[at + 7]), tonumber(args[at + 8])
      at = at + 9
    elseif kind == 's' then
      c.length, c.count = tonumber(args[at + 6]), tonumber(args[at + 7])
      at = at + 8
    elseif kind == 'c' then
      c.from = {tonumber(args[at + 6]), tonumber(args[at + 7]), tonumber(args[at + 8]), tonumber(args[at + 9])}
      at = at + 10
    else
      c.debtCap, c.limit = 0, a
      at = at + 5
    end
    list[#list + 1] = c
  end
  return list
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
    local kind = kindOf(c.kind)
    local s = kind.read(c)
    if not s then return nil, nil, answer('T') end
    if isTopUp and c.cost == 0 then s.wait = 0
    else
      if isLost(c, s) then return nil, nil, answer('L', {c.index}) end
      s.wait = kind.wait(c, s)
    end
    if s.wait ~= 0 and c.isEnforced then isRefused = true end
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
