-- ARGV: now, tombstone. Closes the job if it is open, and erases its content.
-- Returns 1, or 0 when there is no such job.
local r = redis.call('HMGET', record, 'status', 'worker')
if not r[1] then
  return 0
end
local length = redis.call('LLEN', log)
-- Erasing first, which needs no memory: a full Redis must let jobs be deleted.
redis.call('DEL', log, request)
if is_open(r[1]) then
  redis.call('HSET', record, 'attempt', '')
  finish('cancelled', ARGV[1], 0, ARGV[2])
  if r[2] ~= '' then
    redis.call('PUBLISH', 'tt:worker:' .. r[2], record)
  end
end
redis.call('HSET', record, 'is_deleted', 1, 'attempt', '', 'expires_at', ARGV[1])
redis.call('HDEL', record, 'upstream')
redis.call('PEXPIRE', record, ARGV[2])
-- Not the end, which would be news: whoever follows looks again, and finds nothing.
publish(length, {})
return 1
