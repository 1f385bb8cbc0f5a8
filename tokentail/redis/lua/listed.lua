-- KEYS: the jobs of one owner, by creation.
-- ARGV: the job before which the page before this one ended or '', when that was created or '', most jobs.
-- Returns a job and its creation, in turn, the newest first.
local jobs, last, created, most = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local start = 0
if last ~= '' then
  local place = redis.call('ZREVRANK', jobs, last)
  if place then
    start = place + 1
  elseif created == '' then
    return {}
  else
    -- It was taken off meanwhile. Jobs that were created in the same millisecond are ordered by their ids.
    start = redis.call('ZCOUNT', jobs, '(' .. created, '+inf')
    for _, job in ipairs(redis.call('ZREVRANGEBYSCORE', jobs, created, created)) do
      if job > last then
        start = start + 1
      end
    end
  end
end
return redis.call('ZREVRANGE', jobs, start, start + most - 1, 'WITHSCORES')
