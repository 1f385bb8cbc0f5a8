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
if not is_open(values[1]) then
  closing = closing_element()
end
return {values, length, redis.call('LINDEX', log, 0) or '', closing}
