-- ARGV: attempt, worker, now, how often the job may have been lost.
-- Returns {'claimed', length, tokens, bytes, upstream, counts, attempts, request, owner, created at, first token at or
-- '', model, call record or '', user's digest or '', trace or '', queued at}, or {'refused', status or ''}, or {'suspect', how often it was lost}.
local attempt, worker, now = ARGV[1], ARGV[2], ARGV[3]
local r = recorded('status', 'attempt', 'tokens', 'bytes', 'upstream', 'attempts', 'owner', 'created_at', 'first_token_at',
  'losses', 'counts', 'model', 'calls', 'user', 'trace', 'queued_at',
  'counted', 'format')
if not r[1] then
  return {'refused', ''}
end
local attempts, losses = number(r[6]), number(r[10] or '0')
local is_repeat = r[1] == 'running' and r[2] == attempt
if not is_repeat then
  if r[1] ~= 'queued' then
    return {'refused', r[1]}
  end
  if losses > tonumber(ARGV[4]) then
    return {'suspect', losses}
  end
end
number(r[3])
number(r[4])
local length, body = look('LLEN', log), look('GET', request) or ''
local tokens, bytes, counts = with_uncounted(r[1], r[3], r[4], r[11], r[17])
if not is_repeat then
  attempts = attempts + 1
  redis.call('HSET', record, 'status', 'running', 'attempt', attempt, 'worker', worker, 'last_worker', worker,
    'attempts', attempts)
  redis.call('HSETNX', record, 'started_at', now)
  publish(length, {})
end
return {'claimed', length, tonumber(tokens), tonumber(bytes), r[5] or '', counts or '', attempts, body, r[7] or '', r[8] or '', r[9] or '',
  r[12] or '', r[13] or '', r[14] or '', r[15] or '', r[16] or ''}
