import { calendarLua } from './calendar.ts'
import { concurrencyLua } from './concurrency.ts'
import { gcraLua } from './gcra.ts'
import { slidingLua } from './sliding.ts'

/**
 * The four kinds of counters, each a hash of its own key; their rules are those of the memory store, number for number.
 *
 * `read` gives what one counts now, `wait` and `tell` what that says of a charge; `put` charges it, and says how much, when and
 * in what measure. `give` gives back what a hold took, `owe` charges its debt, `adjust` takes units out by hand, `renew` brings a
 * part of a hold up to date before more is taken.
 *
 * Beside what is its kind's own a hash has, but for concurrency: g when it was reset by hand (us), x until when it is kept (ms).
 *
 * A charge `c` has key, kind, cost and the numbers of its rule; a part of a hold is a charge with reserved, left, at, scale,
 * earlier and generation.
 *
 * A script runs from its first line at each call, and functions are what it makes: half of its time, until a kind's were made only
 * where the kind is used (`npm run bench -- quota`).
 */
export const countersLua = `
local forever = -1
${gcraLua}${slidingLua}${calendarLua}${concurrencyLua}
local kinds, backs = {}, {}

local function kindOf(letter)
  local kind = kinds[letter]
  if kind then return kind end
  if letter == 'g' then kind = gcra() elseif letter == 's' then kind = sliding()
  elseif letter == 'c' then kind = calendar() else kind = concurrency() end
  kinds[letter] = kind
  return kind
end

-- Of all kinds but concurrency.
local function backOf(letter)
  local back = backs[letter]
  if back then return back end
  local make = letter == 'g' and gcraBack or letter == 's' and slidingBack or calendarBack
  back = make(kindOf(letter))
  backs[letter] = back
  return back
end
`
