-- ARGV: the holder that must still hold it ('' for nobody, '*' for whoever), end element, status, now, retention,
-- tombstone.
-- Returns {'closed' or 'already', status}, {'held', status} when another holds it, {'absent', ''}.
local holder, element, status, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local r = redis.call('HMGET', record, 'status', 'attempt', 'worker')
if not r[1] then
  return {'absent', ''}
end
if not is_open(r[1]) then
  return {'already', r[1]}
end
if holder ~= '*' and holder ~= r[2] then
  return {'held', r[1]}
end
-- A write that needs no memory comes first: a full Redis must let jobs be closed, for that is what frees it.
redis.call('PERSIST', record)
local length = redis.call('RPUSH', log, element)
-- Law 4: the holder is cleared, so whoever writes next is refused.
redis.call('HSET', record, 'attempt', '')
finish(status, now, ARGV[5], ARGV[6])
publish(length - 1, {element})
if r[3] ~= '' then
  redis.call('PUBLISH', 'tt:worker:' .. r[3], record)
end
return {'closed', status}
