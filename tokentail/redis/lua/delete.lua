-- ARGV: now, tombstone, the beginning of workers' channels, webhook's time. Closes the job if it is open, and erases its content.
-- Returns {owner}, or {} when there is no such job.
local r = recorded('status', 'worker', 'owner', 'format')
if not r[1] then
  return {}
end
-- Erasing first, which needs no memory: a full Redis must let jobs be deleted.
redis.call('DEL', log, request)
if is_open(r[1]) then
  redis.call('HSET', record, 'attempt', '')
  finish('cancelled', ARGV[1], 0, ARGV[2], ARGV[4])
  if r[2] and r[2] ~= '' then
    redis.call('PUBLISH', ARGV[3] .. r[2], record)
  end
end
redis.call('HSET', record, 'is_deleted', 1, 'attempt', '', 'expires_at', ARGV[1])
redis.call('HDEL', record, 'upstream', 'counts', 'user', 'calls')
-- A webhook that is still due needs the record longer.
local is_due = redis.call('HEXISTS', record, 'webhook') == 1
redis.call('PEXPIRE', record, is_due and math.max(ARGV[2], ARGV[4]) or ARGV[2])
-- No element is published: followers read the log again, and find that it is gone.
publish(0, {})
return {r[3] or ''}
