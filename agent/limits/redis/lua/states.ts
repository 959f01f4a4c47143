/** Reads charges, looks at their counters, and tells what they say. */
export const statesLua = `
-- KEYS from firstKey, and for each what \`pack.ts\` says.
local function charges(firstKey, text)
  local list, key = cjson.decode(text), firstKey
  for i, v in ipairs(list) do
    local letter, index, cost, flags = v[1], v[2], v[3], v[4]
    local isEnforced, isRefusedAfterLoss = flags % 2 == 1, flags > 1
    -- All fields at once: a table that grows is copied again and again.
    if letter == 'g' then
      list[i] = {
        kind = letter, key = KEYS[key], index = index, cost = cost, isEnforced = isEnforced, isRefusedAfterLoss = isRefusedAfterLoss,
        debtCap = v[5], tick = v[6], weight = v[7], drain = v[8], capacity = v[9],
        reserved = cost, left = 0, at = 0, scale = 1, generation = 0
      }
    elseif letter == 's' then
      list[i] = {
        kind = letter, key = KEYS[key], index = index, cost = cost, isEnforced = isEnforced, isRefusedAfterLoss = isRefusedAfterLoss,
        debtCap = v[5], limit = v[6], length = v[7], count = v[8],
        reserved = cost, left = 0, at = 0, scale = 1, generation = 0, earlier = 0
      }
    elseif letter == 'c' then
      list[i] = {
        kind = letter, key = KEYS[key], index = index, cost = cost, isEnforced = isEnforced, isRefusedAfterLoss = isRefusedAfterLoss,
        debtCap = v[5], limit = v[6], from = {v[7], v[8], v[9], v[10]},
        reserved = cost, left = 0, at = 0, scale = 1, generation = 0
      }
    else
      list[i] = {
        kind = letter, key = KEYS[key], index = index, cost = cost, isEnforced = isEnforced, isRefusedAfterLoss = isRefusedAfterLoss,
        debtCap = 0, limit = v[5], reserved = cost, left = 0, at = 0, scale = 1, generation = 0
      }
    end
    key = key + 1
  end
  return list
end

-- Whether what was counted before the memory was lost could still matter. Who resets a counter by hand knows it.
local function isLost(c, s)
  if lostMs == 0 or not c.isEnforced or not c.isRefusedAfterLoss then return false end
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
