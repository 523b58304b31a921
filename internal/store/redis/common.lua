-- What all scripts begin with: the server's time, in microseconds, and the
-- windows. A number here is a double, exact up to 2^53: microseconds since 1970
-- and counts up to 4e15 fit; nanoseconds would not.

local most = 4e15 -- where one slot stops counting, above every max

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]

-- text writes a whole number in full; tostring keeps fourteen digits.
local function text(n) return string.format('%.0f', n) end

-- The window w of a bucket is the width of its slots, or -1 for days and -2 for
-- months, in UTC. The rules are those of internal/gateway/limit/window.go.
local day = 86400 * 1000000

-- month_of is the month, counted from year 0, of a day, counted from 1970.
local function month_of(d)
  local z = d + 719468
  local era = math.floor(z / 146097)
  local doe = z - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  return (yoe + era * 400) * 12 + math.floor((5 * doy + 2) / 153) + 2
end

-- first_of is the day a month begins with.
local function first_of(m)
  local y = math.floor((m - 2) / 12) -- years begin in March, leap days end them
  local era = math.floor(y / 400)
  local yoe = y - era * 400
  local doy = math.floor((153 * (m - 2 - y * 12) + 2) / 5)
  return era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy - 719468
end

-- index is the slot of a moment.
local function index(w, at)
  if w == -1 then return math.floor(at / day) end
  if w == -2 then return month_of(math.floor(at / day)) end
  return math.floor(at / w)
end

-- start is when a slot begins.
local function start(w, s)
  if w == -1 then return s * day end
  if w == -2 then return first_of(s) * day end
  return s * w
end

-- span is how many slots count at once.
local function span(w)
  if w < 0 then return 1 end
  return 61
end

-- expire lets a bucket go once nothing in it can count: a window and a minute
-- after its last slot began, or two of the calendar's periods.
local function expire(key, w)
  local seconds = 2 * 86400
  if w == -2 then seconds = 62 * 86400 end
  if w > 0 then seconds = math.ceil((span(w) + 1) * w / 1000000) + 60 end
  redis.call('EXPIRE', key, text(seconds))
end

-- add counts n more in a slot that has had so much.
local function add(key, w, s, had, n)
  redis.call('HINCRBY', key, text(s), text(math.min(n, most - had)))
  if had == 0 then expire(key, w) end
end

-- The record of a call is a hash. Its field "open" or "end" is how the call
-- stands. Each other field is the name of a bucket, and tells what the call has
-- taken of it: of sums "SLOT N " for each time, of distinct items "SLOT NEW ITEM"
-- with NEW 1 or 0, of leases how long they live.
local function read(key)
  local all, record = redis.call('HGETALL', key), {}
  for i = 1, #all, 2 do record[all[i]] = all[i + 1] end
  return record
end
