-- Renew: give the leases of open calls their whole life again. A lease that
-- lapsed counts again: its call is open after all.
-- KEYS: the records of the calls. ARGV: a token, seconds to keep a record, then
-- each call. The buckets are named in the records, and carry the same hash tag.
local token, keep = ARGV[1], ARGV[2]
for i = 1, #KEYS do
  local record = read(KEYS[i])
  if record.open then
    for key, life in pairs(record) do
      if string.find(key, '}:leases:', 1, true) then
        redis.call('ZADD', key, text(now + life), ARGV[2 + i])
        redis.call('EXPIRE', key, text(math.ceil(life / 1000000) + 60))
      end
    end
    redis.call('EXPIRE', KEYS[i], keep)
  end
end
return { token, 'renewed' }
