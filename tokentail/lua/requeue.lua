-- ARGV: the holder that gives it up or was lost ('' when the job waits in the queue), how often it was enqueued so
-- far, now, 1 if the holder was lost or else 0.
-- Returns the new count of enqueues, or 0 when the job has moved on meanwhile.
local r = redis.call('HMGET', record, 'status', 'attempt', 'enqueues', 'queued_at')
if not is_open(r[1]) or r[2] ~= ARGV[1] or r[3] ~= ARGV[2] then
  return 0
end
local queued_at = r[4]
if r[1] == 'running' then
  queued_at = ARGV[3]
end
redis.call('PERSIST', record) -- changes nothing, and comes first for the reason given in close.lua
local enqueues = tonumber(r[3]) + 1
redis.call('HSET', record, 'status', 'queued', 'attempt', '', 'worker', '', 'queued_at', queued_at, 'enqueues', enqueues)
if ARGV[4] == '1' then
  redis.call('HINCRBY', record, 'losses', 1)
end
if r[1] == 'running' then
  publish(redis.call('LLEN', log), {})
end
return enqueues
