-- ARGV: attempt, expected index, now, tokens, bytes, upstream position or '', counts, generation that begins with the
-- first element or '', status that the last element ends with or '', retention, tombstone, call record or '',
-- webhook's time, then the elements.
-- Tokens and bytes are totals, not increments, so that a repeat changes nothing.
-- Returns {'ok', length}, {'fenced', status or ''}, or {'lost', length} when elements before the expected index are gone.
local attempt, expected, now = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local tokens, bytes, upstream, counts, generation, end_status = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local calls, first_element = ARGV[12], 14

-- The pace of the last seconds, as tokentail/log/pace.py explains it: `took_ms tokens`.
local function paced(pace, more, gap_ms)
  if more <= 0 then
    return pace
  end
  local took, count = string.match(pace, '^([%d.]+) ([%d.]+)$')
  if not took then
    return '0 ' .. (more - 1)
  end
  local counted = math.max(0, math.min(gap_ms, 400 * more))
  local weight = math.exp(-counted / 1000)
  return string.format('%.3f %.3f', took * weight + counted, count * weight + more)
end

-- Law 4: only the holder appends. A writer's own `end` leaves it the holder, so that it can repeat and heal (law 8).
local r = recorded('status', 'attempt', 'tokens', 'appended_at', 'pace', 'format')
if r[2] ~= attempt then
  return {'fenced', r[1] or ''}
end
local length = look('LLEN', log)
if length == 0 and not is_open(r[1]) then
  return {'fenced', r[1]} -- expired or deleted; law 6: a list is never started anew
end
if expected > length then
  return {'lost', length}
end

-- Law 5: what landed before is not written again.
local present = length - expected
if present > 0 and #ARGV >= first_element then
  local there = redis.call('LRANGE', log, expected, expected + #ARGV - first_element)
  for i = 1, #there do
    if there[i] ~= ARGV[first_element + i - 1] then
      unreadable(log) -- law 4 was broken: something else than the holder wrote these positions
    end
  end
end
local elements = {unpack(ARGV, first_element + present)}
if #elements > 0 then
  if not is_open(r[1]) and closing_element() ~= '' then
    return {'fenced', r[1]} -- law 3: nothing follows the end, not even from its own writer
  end
  redis.call('RPUSH', log, unpack(elements))
  local before = tonumber(r[3]) or 0
  if generation ~= '' and present == 0 then
    redis.call('HSET', record, 'generation', generation, 'base', expected)
    before = 0
  end
  local pace = paced(r[5] or '', tokens - before, now - (tonumber(r[4]) or now))
  redis.call('HSET', record, 'tokens', tokens, 'bytes', bytes, 'appended_at', now, 'upstream', upstream, 'pace', pace,
    'counts', counts)
  if tokens ~= '0' and before == 0 then
    redis.call('HSET', record, 'generation_token_at', now) -- the first one of this generation
    redis.call('HSETNX', record, 'first_token_at', now)
  end
end
if #elements == 0 and expected == length and is_open(r[1]) then
  redis.call('HSET', record, 'upstream', upstream, 'counts', counts)
end
if calls ~= '' and (#elements > 0 or (expected == length and is_open(r[1]))) then
  redis.call('HSET', record, 'calls', calls)
end
if end_status ~= '' and is_open(r[1]) then
  finish(end_status, now, ARGV[10], ARGV[11], ARGV[13])
end
if #elements > 0 then
  publish(length, elements)
end
return {'ok', length + #elements}
