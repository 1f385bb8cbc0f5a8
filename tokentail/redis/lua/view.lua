-- ARGV: how many of the fields a record cannot lack, then names of fields: first those, `status` before all.
-- Returns {their values, length, submitted element or '', end element or ''}; {} when there is no record.
local values = recorded(unpack(ARGV, 2))
if not values[1] then
  return {}
end
for i = 1, #values do
  if not values[i] then
    if i <= tonumber(ARGV[1]) then
      unreadable(record)
    end
    values[i] = '' -- a nil would end the reply
  end
end
local length, closing = look('LLEN', log), ''
local totals = redis.call('HMGET', record, 'tokens', 'bytes', 'counted')
local tokens, bytes = with_uncounted(values[1], totals[1], totals[2], '', totals[3])
for i = 1, #values do
  if ARGV[i + 1] == 'tokens' then
    values[i] = tostring(tokens)
  elseif ARGV[i + 1] == 'bytes' then
    values[i] = tostring(bytes)
  end
end
if not is_open(values[1]) then
  closing = closing_element()
end
return {values, length, redis.call('LINDEX', log, 0) or '', closing}
