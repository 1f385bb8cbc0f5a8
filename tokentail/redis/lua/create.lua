-- KEYS: the job's record, log and request, in one cluster slot. ARGV: submitted element, request, then the record's fields
-- and values.
-- Returns 1, or 0 when the job is there already (submitting may be repeated).
local record, log, request = KEYS[1], KEYS[2], KEYS[3]
if redis.call('EXISTS', record) == 1 then
  return 0
end
-- The first write is the one that Redis refuses when it is full, so a refused job leaves nothing behind.
redis.call('HSET', record, unpack(ARGV, 3))
redis.call('DEL', log)
redis.call('RPUSH', log, ARGV[1])
redis.call('SET', request, ARGV[2])
return 1
