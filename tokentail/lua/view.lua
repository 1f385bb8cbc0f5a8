-- Returns {fields and values, length, submitted element or '', end element or ''}.
local fields = redis.call('HGETALL', record)
local closing = ''
if not is_open(redis.call('HGET', record, 'status')) then
  closing = closing_element()
end
return {fields, redis.call('LLEN', log), redis.call('LINDEX', log, 0) or '', closing}
