-- ARGV: the holder that gives it up or was lost ('' when the job waits in the queue), how often it was enqueued so
-- far, now, 1 if the holder was lost or else 0.
-- Returns the new count of enqueues, or 0 when the job has moved on meanwhile.
local r = recorded('status', 'attempt', 'enqueues', 'queued_at', 'losses', 'format')
if not is_open(r[1]) or r[2] ~= ARGV[1] or r[3] ~= ARGV[2] then
  return 0
end
local queued_at, length = r[4] or ARGV[3], look('LLEN', log)
if r[1] == 'running' then
  queued_at = ARGV[3]
end
local enqueues, losses = number(r[3]) + 1, number(r[5] or '0')
redis.call('PERSIST', record) -- changes nothing, and comes first for the reason given in close.lua
redis.call('HSET', record, 'status', 'queued', 'attempt', '', 'worker', '', 'queued_at', queued_at, 'enqueues', enqueues)
if ARGV[4] == '1' then
  redis.call('HSET', record, 'losses', losses + 1)
end
if r[1] == 'running' then
  publish(length, {})
end
return enqueues
