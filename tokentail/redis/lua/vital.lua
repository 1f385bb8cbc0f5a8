-- KEYS: one. ARGV: a write command, and its arguments after the key. Runs the command even when Redis is full: a living worker
-- must not be taken for dead because memory is short, and the sweep must go on, for it closes jobs.
-- The first write needs no memory and changes nothing, as no expiry is later than now; Redis then lets the script go on.
redis.call('PEXPIRE', KEYS[1], 0, 'GT')
return redis.call(ARGV[1], KEYS[1], unpack(ARGV, 2))
