/**
 * Holds: one string for each, which ends by itself, or the word `over` for a while after the end. `take` charges a
 * counter and says so in the part of a hold; `settlePart` ends one.
 */
export const holdsLua = `
local tombstoneMs = 120000

local function unpackHold(value)
  local packed = cmsgpack.unpack(value)
  if packed[2] <= now then return end
  local hold = {
    replica = packed[1], expires = packed[2], step = packed[3], answer = packed[4], stepAnswer = packed[5], parts = {}
  }
  for i = 6, #packed do
    local v = packed[i]
    local kind = v[1]
    local p = {
      kind = kind, key = v[2], index = v[3], reserved = v[4], left = v[5], at = v[6], scale = v[7], generation = v[8],
      debtCap = v[9]
    }
    if kind == 'g' then p.tick, p.weight, p.drain, p.capacity = v[10], v[11], v[12], v[13]
    elseif kind == 's' then p.limit, p.length, p.count, p.earlier = v[10], v[11], v[12], v[13]
    elseif kind == 'c' then p.limit, p.from = v[10], {v[11], v[12], v[13], v[14]} end
    hold.parts[i - 5] = p
  end
  return hold
end

-- 'over', nothing, or a hold that lives.
local function holdAt(key)
  local value = call('GET', key)
  if not value or value == 'over' then return value end
  return unpackHold(value)
end

-- A list takes half the room and time of a table with names.
local function storeHold(key, hold)
  local packed = {hold.replica, hold.expires, hold.step, hold.answer, hold.stepAnswer}
  for i, p in ipairs(hold.parts) do
    local kind = p.kind
    if kind == 'g' then
      packed[5 + i] = {
        kind, p.key, p.index, p.reserved, p.left, p.at, p.scale, p.generation, p.debtCap, p.tick, p.weight, p.drain, p.capacity
      }
    elseif kind == 's' then
      packed[5 + i] = {
        kind, p.key, p.index, p.reserved, p.left, p.at, p.scale, p.generation, p.debtCap, p.limit, p.length, p.count, p.earlier
      }
    elseif kind == 'c' then
      local from = p.from
      packed[5 + i] = {
        kind, p.key, p.index, p.reserved, p.left, p.at, p.scale, p.generation, p.debtCap, p.limit,
        from[1], from[2], from[3], from[4]
      }
    else packed[5 + i] = {kind, p.key, p.index, p.reserved, p.left, p.at, p.scale, p.generation, 0} end
  end
  call('SET', key, cmsgpack.pack(packed), 'PX', ceil((hold.expires - now) / 1000) + spareMs)
end

local function bury(key) call('SET', key, 'over', 'PX', tombstoneMs) end

-- A new part of a hold: the charge itself, with what it took.
local function take(c, s, hold, id)
  local kind = kindOf(c.kind)
  c.reserved, c.generation = c.cost, s.generation
  if c.kind == 's' then c.earlier = {} end
  c.left, c.at, c.scale = kind.put(c, s, c.cost, maxUnits)
  if c.kind == 'r' then kind.run(c, hold, id) end
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
  local kind = kindOf(c.kind)
  if c.kind == 'r' then
    kind.stop(part, hold, id)
    part.left, part.reserved = part.left + c.cost, part.reserved + c.cost
    kind.put(c, s, c.cost)
    kind.run(part, hold, id)
    return part
  end
  if c.cost == 0 then return part end
  backOf(c.kind).renew(part, c)
  local added, at, scale = kind.put(c, s, c.cost, maxUnits)
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

local function settlePart(part, actual, hold, id)
  if part.kind == 'r' then return kindOf('r').stop(part, hold, id) end
  local more = actual - part.reserved
  if more < 0 then backOf(part.kind).give(part, -more) elseif more > 0 then backOf(part.kind).owe(part, more) end
end
`
