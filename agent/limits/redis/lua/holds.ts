/**
 * Holds: one string for each, which ends by itself, or the word `over` for a while after the end. `take` charges a
 * counter and says so in the part of a hold; `settlePart` ends one.
 */
export const holdsLua = `
local tombstoneMs = 120000

-- 'over', nothing, or a hold that lives.
local function holdAt(key)
  local value = call('GET', key)
  if not value or value == 'over' then return value end
  local packed = cmsgpack.unpack(value)
  if packed[2] <= now then return end
  local hold = {
    replica = packed[1], expires = packed[2], step = packed[3], answer = packed[4], stepAnswer = packed[5], parts = {}
  }
  for i = 6, #packed do
    local v = packed[i]
    local kind = v[1]
    hold.parts[i - 5] = {
      kind = kind, key = v[2], index = v[3], reserved = v[4], left = v[5], at = v[6], scale = v[7], generation = v[8],
      earlier = v[9], debtCap = v[10], limit = v[11], tick = v[12], length = v[12], from = v[12], weight = v[13], count = v[13],
      drain = v[14], capacity = v[15]
    }
  end
  return hold
end

-- A list takes half the room and time of a table with names.
local function storeHold(key, hold)
  local packed = {hold.replica, hold.expires, hold.step, hold.answer, hold.stepAnswer}
  for i, p in ipairs(hold.parts) do
    packed[5 + i] = {
      p.kind, p.key, p.index, p.reserved, p.left, p.at, p.scale, p.generation, p.earlier or 0,
      p.debtCap or 0, p.limit or 0, p.tick or p.length or p.from or 0, p.weight or p.count or 0, p.drain or 0, p.capacity or 0
    }
  end
  call('SET', key, cmsgpack.pack(packed), 'PX', ceil((hold.expires - now) / 1000) + spareMs)
end

local function bury(key) call('SET', key, 'over', 'PX', tombstoneMs) end

local function alive()
  local untilMs = tonumber(call('HGET', record, 'a:' .. replica) or 0)
  if untilMs < nowMs + lifeMs / 2 then call('HSET', record, 'a:' .. replica, nowMs + lifeMs) end
end

local function put(c, s)
  if c.kind == 'g' then return putGcra(c, s, c.cost, maxUnits), now, c.weight end
  if c.kind == 's' then return putSliding(c, s, c.cost, maxUnits), s.slice, c.length end
  if c.kind == 'c' then return putCalendar(c, s, c.cost, maxUnits), s.startMs, 1 end
  s.running = s.running + c.cost
  return c.cost, 0, 1
end

-- A new part of a hold: the charge itself, with what it took.
local function take(c, s, hold, id)
  c.reserved, c.generation = c.cost, s.generation
  if c.kind == 's' then c.earlier = {} end
  c.left, c.at, c.scale = put(c, s)
  if c.kind == 'r' and c.left > 0 then
    run(c.key, c.left, hold.replica, id, hold.expires)
    alive()
  end
end

local function takeMore(part, c, s, hold, id)
  if part.key ~= c.key or part.generation ~= s.generation then
    -- Reset since: what was taken before is forgotten, and only what comes now can come back.
    if c.cost == 0 then return part end
    local before = part.reserved
    take(c, s, hold, id)
    c.reserved, c.index = c.reserved + before, part.index
    return c
  end
  if c.kind == 'r' then
    local set = setOf(part.key)
    if part.left > 0 then endRunning(part.key, set, text(part.left) .. ':' .. hold.replica .. ':' .. id) end
    part.left, part.reserved = part.left + c.cost, part.reserved + c.cost
    s.running = s.running + c.cost
    if part.left > 0 then
      run(part.key, part.left, hold.replica, id, hold.expires)
      alive()
    end
    return part
  end
  if c.cost == 0 then return part end
  if c.kind == 'g' then part.left = stillIn(part, c) elseif c.kind == 's' then rescale(part, c.length) end
  local added, at, scale = put(c, s)
  part.reserved = part.reserved + c.cost
  if c.kind == 'g' then part.left = part.left + added
  elseif part.at == at then part.left = part.left + added
  elseif c.kind == 'c' then part.left = added
  else
    local earlier = part.earlier
    earlier[#earlier + 1] = part.at
    earlier[#earlier + 1] = part.left
    while #earlier > 0 and earlier[1] + c.count < at do
      table.remove(earlier, 1)
      table.remove(earlier, 1)
    end
    part.left = added
  end
  part.at, part.scale = at, scale
  return part
end

local function giveBack(part, units)
  if part.kind == 'g' then
    local c = presentRate(part)
    local s = readGcra(c)
    if s.generation ~= part.generation then return end
    s.level = max(0, s.level - min(units * c.weight, stillIn(part, c)))
    storeGcra(c, s)
  elseif part.kind == 's' then
    local c = presentSlices(part)
    local s = readSliding(c)
    if s.generation ~= part.generation or s.sum == 0 then return end
    sweep(c, s)
    rescale(part, c.length)
    local left = units - removeSliding(c, s, part.at, min(units, part.left))
    for i = #part.earlier - 1, 1, -2 do
      if left > 0 then left = left - removeSliding(c, s, part.earlier[i], min(left, part.earlier[i + 1])) end
    end
    storeSliding(c, s)
  elseif part.kind == 'c' then
    local v = call('HMGET', part.key, 'u', 's', 'e', 'g')
    if not v[1] or (v[4] or '') ~= part.generation then return end
    if tonumber(v[2]) ~= part.at or nowMs >= tonumber(v[3]) then return end
    local used = tonumber(v[1])
    call('HSET', part.key, 'u', used - min(used, units, part.left))
  end
end

local function owe(part, units)
  if part.kind == 'g' then
    local c = presentRate(part)
    putGcra(c, readGcra(c), units, c.capacity + part.debtCap * c.weight)
  elseif part.kind == 's' then
    putSliding(part, readSliding(part), units, part.limit + part.debtCap)
  elseif part.kind == 'c' then
    guessSpan(part)
    putCalendar(part, readCalendar(part), units, part.limit + part.debtCap)
  end
end

local function settlePart(part, actual, hold, id)
  if part.kind == 'r' then
    if part.left > 0 then endRunning(part.key, setOf(part.key), text(part.left) .. ':' .. hold.replica .. ':' .. id) end
    return
  end
  local more = actual - part.reserved
  if more < 0 then giveBack(part, -more) elseif more > 0 then owe(part, more) end
end
`
