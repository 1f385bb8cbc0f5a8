-- ARGV: attempt, expected index, now, tokens, bytes, upstream position or '', generation that begins with the first
-- element or '', status that the last element ends with or '', retention, tombstone, then the elements.
-- Tokens and bytes are totals, not increments, so that a repeat changes nothing.
-- Returns {'ok', length}, {'fenced', status or ''}, or {'lost', length} when elements before the expected index are gone.
local attempt, expected, now = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local tokens, bytes, upstream, generation, end_status = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8]
local first_element = 11

-- Law 4: only the holder appends. A writer's own `end` leaves it the holder, so that it can repeat and heal (law 8).
local r = redis.call('HMGET', record, 'status', 'attempt', 'first_token_at')
if r[2] ~= attempt then
  return {'fenced', r[1] or ''}
end
local length = redis.call('LLEN', log)
if length == 0 and not is_open(r[1]) then
  return {'fenced', r[1]} -- expired or deleted; law 6: a list is never started anew
end
if expected > length then
  return {'lost', length}
end

-- Law 5: what landed before is not written again.
local present = length - expected
local elements = {unpack(ARGV, first_element + present)}
if #elements > 0 then
  if not is_open(r[1]) and closing_element() ~= '' then
    return {'fenced', r[1]} -- law 3: nothing follows the end, not even from its own writer
  end
  redis.call('RPUSH', log, unpack(elements))
  redis.call('HSET', record, 'tokens', tokens, 'bytes', bytes, 'appended_at', now, 'upstream', upstream)
  if generation ~= '' and present == 0 then
    redis.call('HSET', record, 'generation', generation, 'base', expected)
  end
  if tokens ~= '0' and not r[3] then
    redis.call('HSET', record, 'first_token_at', now)
  end
end
if #elements == 0 and expected == length and is_open(r[1]) then
  redis.call('HSET', record, 'upstream', upstream)
end
if end_status ~= '' and is_open(r[1]) then
  finish(end_status, now, ARGV[9], ARGV[10])
end
if #elements > 0 then
  publish(length, elements)
end
return {'ok', length + #elements}
