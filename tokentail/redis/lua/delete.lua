-- ARGV: now, tombstone, the beginning of workers' channels, webhook's time, 1 to erase the record, too, else 0.
-- Closes the job if it is open, and erases its content. Returns {owner, user's digest}, or {} when there is no such job.
local kept = {}
for _, name in ipairs({'status', 'owner', 'model', 'generation', 'attempt', 'worker', 'attempts', 'enqueues', 'tokens',
  'bytes', 'base', 'losses', 'format', 'created_at', 'queued_at', 'started_at', 'first_token_at', 'generation_token_at',
  'appended_at', 'ended_at', 'expires_at', 'shares', 'is_deleted', 'webhook'}) do
  kept[name] = true
end
local r = recorded('status', 'worker', 'owner', 'user', 'tokens', 'bytes', 'counted', 'format')
if not r[1] then
  return {}
end
look('LLEN', log)
local tokens, bytes = with_uncounted(r[1], r[5], r[6], '', r[7])
-- Erasing first, which needs no memory: a full Redis must let jobs be deleted.
redis.call('DEL', log, request)
for _, name in ipairs(redis.call('HKEYS', record)) do
  if not kept[name] then
    redis.call('HDEL', record, name)
  end
end
if is_open(r[1]) then
  redis.call('HSET', record, 'attempt', '', 'tokens', tokens or 0, 'bytes', bytes or 0)
  finish('cancelled', ARGV[1], 0, ARGV[2], ARGV[4])
  if r[2] and r[2] ~= '' then
    redis.call('PUBLISH', ARGV[3] .. r[2], record)
  end
end
if ARGV[5] == '1' then
  redis.call('DEL', record)
else
  redis.call('HSET', record, 'is_deleted', 1, 'attempt', '', 'expires_at', ARGV[1])
  -- A webhook that is still due needs the record longer.
  local is_due = redis.call('HEXISTS', record, 'webhook') == 1
  redis.call('PEXPIRE', record, is_due and math.max(ARGV[2], ARGV[4]) or ARGV[2])
end
-- No element is published: followers read the log again, and find that it is gone.
publish(0, {})
return {r[3] or '', r[4] or ''}
