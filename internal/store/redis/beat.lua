-- Beat: say that this gateway lives, and count those that do. A gateway that
-- leaves says so with a life of 0.
-- KEYS: the nodes. ARGV: node, microseconds to live.
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(now))
if ARGV[2] == '0' then
  redis.call('ZREM', KEYS[1], ARGV[1])
else
  redis.call('ZADD', KEYS[1], text(now + ARGV[2]), ARGV[1])
  redis.call('EXPIRE', KEYS[1], 60)
end
return { ARGV[1], redis.call('ZCARD', KEYS[1]) }
