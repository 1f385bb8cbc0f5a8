-- KEYS: those of users.lua.
-- ARGV: client, job, created, 1 if the job runs or is in the queue, else 0, user.
-- Counts an open job that an index has lost, where it is counted nowhere yet; no limit holds for it.
local client, job, created = ARGV[1], ARGV[2], ARGV[3]
redis.call('ZADD', open, created, job)
redis.call('SADD', clients, client)
local is_admitted = redis.call('SISMEMBER', admitted, job) == 1
if is_admitted then
  redis.call('SADD', all, job)
end
if is_admitted or redis.call('ZSCORE', held, job) then
  return 0
end
take_out(job) -- what may be left of it
put_in(job, digest(ARGV[5]), ARGV[4] ~= '1' and created)
return 1
