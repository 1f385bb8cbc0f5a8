-- Stands before the scripts that count one client's open jobs. KEYS begin with: open jobs, the clients that have some, this
-- client's held jobs, its admitted ones, all clients' admitted ones, its users, its turns. A job without a user is one of
-- the user ''.
-- The users are a sorted set without scores, so that its entries are found by how they begin:
--   job:<job>:<user> of each open job, and admitted:<user>:<job> or held:<user>:<time>:<job>; turn:<user> of each turn.
-- The turns have user:<user> of each user with held jobs. The score is how many admitted jobs the user has and, below that,
-- since when it waits for its turn: since its first held job came, or since another of its held jobs entered the queue.
-- So the lowest entry is the user whose oldest held job enters the queue next.
local open, clients, held, admitted, all, users, turns = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6], KEYS[7]
redis.call('ZCARD', users) -- a key of another type is found before anything is written
redis.call('ZCARD', turns)

local function digest(text)
  return text and #text <= 64 and string.match(text, '^%x*$') or ''
end

-- The entries that begin with this text, which ends in a colon; the character after a colon is a semicolon.
local function beginning(text)
  return '[' .. text, '(' .. string.sub(text, 1, -2) .. ';'
end

local function count_of(state, user)
  return redis.call('ZLEXCOUNT', users, beginning(state .. ':' .. user .. ':'))
end

local function user_of(job)
  local from, to = beginning('job:' .. job .. ':')
  local entry = redis.call('ZRANGEBYLEX', users, from, to, 'LIMIT', 0, 1)[1]
  return digest(entry and string.match(entry, '^job:%w+:(.*)$'))
end

-- The entry of the user's oldest held job, if it has one.
local function oldest_of(user)
  local from, to = beginning('held:' .. user .. ':')
  return redis.call('ZRANGEBYLEX', users, from, to, 'LIMIT', 0, 1)[1]
end

local function timed(job, at)
  return string.format('%015.0f:', math.min(math.max(tonumber(at) or 0, 0), 1e14)) .. job
end

-- Makes the user's turn what it should be now. `since` is given when one of its held jobs has entered the queue.
local PLACE = 1e13 -- later than all times in ms
local function set_turn(user, since)
  local turn, oldest = 'user:' .. user, oldest_of(user)
  if not oldest then
    redis.call('ZREM', turns, turn)
    redis.call('ZREM', users, 'turn:' .. user)
    return
  end
  since = since or redis.call('ZSCORE', turns, turn) or string.match(oldest, ':(%d+):%w*$')
  since = tonumber(since) or 0
  if not (since >= 0 and since < 1e16) then
    since = 0 -- another program wrote it
  end
  local score = math.min(count_of('admitted', user), 900) * PLACE + since % PLACE
  redis.call('ZADD', turns, string.format('%.0f', score), turn)
  redis.call('ZADD', users, 0, 'turn:' .. user)
end

-- Takes a job out of all that is counted of this client, and returns its user. Needs no memory.
local function take_out(job)
  local user, at = user_of(job), redis.call('ZSCORE', held, job)
  redis.call('ZREM', held, job)
  redis.call('SREM', admitted, job)
  redis.call('SREM', all, job)
  redis.call('ZREM', users, 'admitted:' .. user .. ':' .. job)
  if at then
    redis.call('ZREM', users, 'held:' .. user .. ':' .. timed(job, at))
  end
  local from, to = beginning('job:' .. job .. ':')
  redis.call('ZREMRANGEBYLEX', users, from, to)
  set_turn(user)
  return user
end

-- Counts a job among the held ones, if `at` is a time, else among the admitted ones.
local function put_in(job, user, at, since)
  if at then
    redis.call('ZADD', held, at, job)
    redis.call('ZADD', users, 0, 'job:' .. job .. ':' .. user, 0, 'held:' .. user .. ':' .. timed(job, at))
  else
    redis.call('SADD', admitted, job)
    redis.call('SADD', all, job)
    redis.call('ZADD', users, 0, 'job:' .. job .. ':' .. user, 0, 'admitted:' .. user .. ':' .. job)
  end
  set_turn(user, since)
end

-- The held job that enters the queue next.
local function next_job()
  while true do
    local turn = redis.call('ZRANGE', turns, 0, 0)[1]
    if not turn then
      return redis.call('ZRANGE', held, 0, 0)[1] -- an index that lost entries is made anew by the sweep
    end
    local oldest = oldest_of(digest(string.match(turn, '^user:(.*)$')))
    local job = oldest and string.match(oldest, ':(%w*)$')
    if job and redis.call('ZSCORE', held, job) then
      return job
    end
    redis.call('ZREM', oldest and users or turns, oldest or turn)
  end
end
