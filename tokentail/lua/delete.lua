-- ARGV: end element, now, tombstone. Cancels the job if it is open, then erases its content.
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
  finish('cancelled', ARGV[2], 0, ARGV[3])
  publish(length, {ARGV[1]})
  if r[2] ~= '' then
    redis.call('PUBLISH', 'tt:worker:' .. r[2], record)
  end
end
redis.call('HSET', record, 'is_deleted', 1, 'attempt', '', 'expires_at', ARGV[2])
redis.call('HDEL', record, 'upstream')
redis.call('PEXPIRE', record, ARGV[3])
return 1
