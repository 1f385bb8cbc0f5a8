-- The request is among the keys, and the three times among the arguments, where the `end` is among the elements.
-- ARGV: attempt, expected index, now, tokens, bytes, upstream position or '', counts, generation that begins with the
-- first element or '', status that the last element ends with or '', retention, tombstone, call record or '',
-- webhook's time, then the elements. Or, of tokens alone that `usual_append.lua` has left:
-- attempt, expected index, '', then the elements.
-- Tokens and bytes are totals, not increments, so that a repeat changes nothing.
-- Returns the length, {'fenced', status or ''}, or {'lost', length} when elements before the expected index are gone.
local attempt, expected, now = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local has_totals = now ~= ''
local first_element = has_totals and 14 or 4
local tokens, bytes, upstream, counts, generation, end_status, calls = '', '', '', '', '', '', ''
if has_totals then
  tokens, bytes, upstream, counts, generation, end_status = ARGV[4], ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
  calls = ARGV[12]
end

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

-- The pace after `more` tokens since the last totals, of which `elements` has some: those before them came at the pace
-- until then, and a pause, if there was one, was before the first of `elements`.
local function paced_twice(pace, more, gap_ms, elements)
  local own = tokens_in(elements)
  local earlier, took, count = more - own, string.match(pace, '^([%d.]+) ([%d.]+)$')
  if earlier <= 0 or not took or tonumber(count) <= 0 then
    return paced(pace, more, gap_ms)
  end
  local earlier_ms = math.min(earlier * took / count, gap_ms)
  return paced(paced(pace, earlier, earlier_ms), own, gap_ms - earlier_ms)
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
end
if has_totals and (#elements > 0 or (expected == length and is_open(r[1]))) then
  local before, gap_ms, appended_at = tonumber(r[3]) or 0, 0, r[4] or ''
  if #elements > 0 then
    gap_ms, appended_at = now - (tonumber(r[4]) or now), now
    if generation ~= '' and present == 0 then
      redis.call('HSET', record, 'generation', generation, 'base', expected)
      before = 0
    end
    if tokens ~= '0' and before == 0 then
      redis.call('HSET', record, 'generation_token_at', now) -- the first one of this generation
      redis.call('HSETNX', record, 'first_token_at', now)
    end
  end
  redis.call('HSET', record, 'tokens', tokens, 'bytes', bytes, 'appended_at', appended_at, 'upstream', upstream,
    'pace', paced_twice(r[5] or '', tokens - before, gap_ms, elements), 'counts', counts,
    'counted', length + #elements .. ' ' .. bytes)
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
return length + #elements
