-- ARGV: the attempt that must hold the job ('' for none, '*' for any), end element, status, now, retention, tombstone,
-- webhook's time, the beginning of workers' channels.
-- Returns {'closed' or 'already', status}, {'held', status} when another holds it, {'absent', ''}.
local function count(text)
  return is_number(text) and text or 'null'
end

-- The usage in JSON, or null, of the counts that the last append brought (tokentail/log/counts.py).
local function counted(counts)
  local input, output, reasoning, cached, shown = string.match(counts, '^(%S+) (%S+) (%S+) (%S+) (%d+)$')
  if not shown or (shown == '0' and input .. output .. reasoning .. cached == '----') then
    return 'null'
  end
  local estimate = ''
  if not is_number(output) and is_number(shown) and shown ~= '0' then
    estimate = string.format(',"output_tokens_estimated":%d', math.ceil(shown / 4))
  end
  return '{"input_tokens":' .. count(input) .. ',"output_tokens":' .. count(output) .. ',"reasoning_tokens":'
    .. count(reasoning) .. ',"cached_tokens":' .. count(cached) .. estimate .. '}'
end

local holder, element, status, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local r = recorded('status', 'attempt', 'worker', 'counts', 'tokens', 'bytes', 'counted', 'format')
if not r[1] then
  return {'absent', ''}
end
if not is_open(r[1]) then
  return {'already', r[1]}
end
if holder ~= '*' and holder ~= r[2] then
  return {'held', r[1]}
end
look('LLEN', log)
local tokens, bytes, counts = with_uncounted(r[1], r[5], r[6], r[4], r[7])
-- A write that needs no memory comes first: a full Redis must let jobs be closed, for that is what frees it.
redis.call('PERSIST', record)
-- A stopped answer has the usage that its writer knew of.
element = string.gsub(element, '"usage":null', function() return '"usage":' .. counted(counts or '') end, 1)
local length = redis.call('RPUSH', log, element)
-- Law 4: the holder is cleared, so its next append is refused.
redis.call('HSET', record, 'attempt', '', 'tokens', tokens or 0, 'bytes', bytes or 0)
finish(status, now, ARGV[5], ARGV[6], ARGV[7])
publish(length - 1, {element})
if r[3] and r[3] ~= '' then
  redis.call('PUBLISH', ARGV[8] .. r[3], record)
end
return {'closed', status}
