-- ARGV: attempt, worker, now, how often the job may have been lost.
-- Returns {'claimed', length, tokens, bytes, upstream, attempts, request, owner, created at, first token at or ''}, or
-- {'refused', status or ''}, or {'suspect', how often it was lost}.
local attempt, worker, now = ARGV[1], ARGV[2], ARGV[3]
local r = redis.call('HMGET', record, 'status', 'attempt', 'tokens', 'bytes', 'upstream', 'attempts', 'owner', 'created_at',
  'first_token_at', 'losses')
local attempts, losses = tonumber(r[6] or 0), tonumber(r[10] or 0)
local is_repeat = r[1] == 'running' and r[2] == attempt
if not is_repeat then
  if r[1] ~= 'queued' then
    return {'refused', r[1] or ''}
  end
  if losses > tonumber(ARGV[4]) then
    return {'suspect', losses}
  end
  attempts = attempts + 1
  redis.call('HSET', record, 'status', 'running', 'attempt', attempt, 'worker', worker, 'attempts', attempts)
  redis.call('HSETNX', record, 'started_at', now)
end
local length = redis.call('LLEN', log)
if not is_repeat then
  publish(length, {})
end
local body = redis.call('GET', request) or ''
return {'claimed', length, tonumber(r[3]), tonumber(r[4]), r[5] or '', attempts, body, r[7], r[8], r[9] or ''}
