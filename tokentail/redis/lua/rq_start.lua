-- KEYS: RQ's record of one enqueue, its execution, the executions of the job, those that are under way, those of the worker,
-- the worker, the queue's intermediate list.
-- ARGV: RQ id, execution, what the record must have as `data`, worker, now as RQ writes it and in Unix seconds, how long the
-- notes stay (seconds).
-- Notes in RQ's books that the execution has begun. Returns nil then; else what the record has as `data`, or '' without one.
local record, execution, of_job, under_way, of_worker, worker, intermediate = unpack(KEYS)
local id, name, now, at, ttl = ARGV[1], ARGV[2], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7])
local data = redis.call('HGET', record, 'data')
if data ~= ARGV[3] then
  return data or ''
end
redis.call('HSET', execution, 'id', name, 'job_id', id, 'created_at', ARGV[6], 'last_heartbeat', ARGV[6],
  'worker_name', ARGV[4])
redis.call('EXPIRE', execution, ttl)
local ends = math.floor(at) + ttl
redis.call('ZADD', of_job, ends + 60, name)
redis.call('EXPIRE', of_job, ttl + 60)
redis.call('ZADD', under_way, ends, id .. ':' .. name)
redis.call('SADD', of_worker, id .. ':' .. name)
redis.call('EXPIRE', of_worker, ttl)
redis.call('HSET', worker, 'state', 'busy', 'last_heartbeat', now)
redis.call('EXPIRE', worker, ttl)
redis.call('HSET', record, 'status', 'started', 'started_at', now, 'last_heartbeat', now, 'worker_name', ARGV[4])
redis.call('PERSIST', record)
redis.call('LREM', intermediate, 1, id)
return nil
