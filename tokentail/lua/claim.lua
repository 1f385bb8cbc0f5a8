-- ARGV: attempt, worker, now, a new generation.
-- Returns {'claimed', generation, length, tokens, bytes, upstream, attempts, request}, or {'refused', status or ''}.
local attempt, worker, now, generation = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local r = redis.call('HMGET', record, 'status', 'attempt', 'generation', 'base', 'tokens', 'bytes', 'upstream', 'attempts')
local attempts = tonumber(r[8] or 0)
local is_repeat = r[1] == 'running' and r[2] == attempt
if not is_repeat then
  if r[1] ~= 'queued' then
    return {'refused', r[1] or ''}
  end
  attempts = attempts + 1
  redis.call('HSET', record, 'status', 'running', 'attempt', attempt, 'worker', worker, 'attempts', attempts)
  redis.call('HSETNX', record, 'started_at', now)
end
local length = redis.call('LLEN', log)
-- While the current generation is empty, its name is kept: readers who wait on it go on without a reset.
if length == tonumber(r[4]) then
  generation = r[3]
end
if not is_repeat then
  publish(length, {})
end
return {'claimed', generation, length, tonumber(r[5]), tonumber(r[6]), r[7] or '', attempts, redis.call('GET', request) or ''}
