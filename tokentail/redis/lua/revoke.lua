-- No ARGV. Counts up the job's `shares`: a read token holds the count of its time, and is refused from now on.
-- Returns the new count; 0 when there is no such job.
local r = recorded('status', 'shares', 'format')
if not r[1] then
  return 0
end
if r[2] then
  number(r[2])
end
return redis.call('HINCRBY', record, 'shares', 1)
