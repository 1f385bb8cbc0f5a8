-- KEYS: RQ's record of one enqueue, its execution, the executions of the job, those that are under way, those of the worker,
-- the worker, the job's results, the registry of ended jobs.
-- ARGV: RQ id, execution, status, the record's field that tells how long the notes stay (seconds), the worker's count of such
-- ends, for how long the job ran (seconds), now as RQ writes it and in Unix seconds, then the fields and values of the result.
-- Notes in RQ's books that the execution is over.
local record, execution, of_job, under_way, of_worker, worker, results, registry = unpack(KEYS)
local id, name, now = ARGV[1], ARGV[2], ARGV[7]
local ttl = tonumber(redis.call('HGET', record, ARGV[4]) or '') or 60
redis.call('DEL', execution)
redis.call('ZREM', under_way, id .. ':' .. name)
redis.call('ZREM', of_job, name)
redis.call('SREM', of_worker, id .. ':' .. name)
redis.call('HSET', record, 'status', ARGV[3], 'ended_at', now, 'last_heartbeat', now)
redis.call('EXPIRE', record, ttl)
redis.call('XADD', results, 'MAXLEN', 10, '*', unpack(ARGV, 9))
redis.call('EXPIRE', results, ttl)
redis.call('ZADD', registry, math.floor(ARGV[8]) + ttl, id)
-- What cannot be repeated comes last. A count that is no number is removed with the worker's next heartbeat.
redis.pcall('HINCRBY', worker, ARGV[5], 1)
redis.pcall('HINCRBYFLOAT', worker, 'total_working_time', ARGV[6])
