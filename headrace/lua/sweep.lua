#!lua flags=allow-oom
-- sweep: look at a stretch of a tenant's index: forget jobs whose records are gone, put back jobs that no set leads to,
-- give finished records their time to live, end jobs whose input is lost. This is what makes every half-done script harmless.
-- touches  INDEX<tenant>, JOB<m>, INPUT<m>, OUTPUT<m>, READY with TURN and BELL, DELAYED (looked at), LEASES, DEADLINES,
--          QUARANTINE (what is broken stays there, with its input), EVENTS, STATS, HOOK<m>, META<m>, PAST<m>, CHECKPOINT<m>,
--          DEDUPE (kept alive while its job is open), OUTBOX with COURIERS, USAGE with USAGE_DAYS
-- ARGV     tenant, first rank, how many, ttl s
-- reply    {next rank or 0 at the end, forgotten, mended}
local read = reader('s', 'f', 'm', 't', 'z', 'd', 'y', 'a', 'h', 'u', 'T', 'B', 'E')
local tenant, first, limit, ttl = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local members = redis.call('ZRANGE', INDEX .. tenant, first, first + limit - 1)
local now, words, forgotten, mended = now_ms(), {}, 0, 0

local function mend_ended(member, state, hook, own)
  if redis.call('TTL', JOB .. member) ~= -1 then
    -- A plain job's record gets it from its mould, before its input goes (`commit`).
    return state == 'succeeded' and redis.call('DEL', INPUT .. member) or 0
  end
  let_go(member, state, kept_s(own or ttl, hook))
  return hook and 0 or 1 -- with a hook it is as it should be: nobody has told of it yet
end

-- An expiry that was lost, or dropped while the job ran before it was given back.
local function mend_deadline(member, fields)
  local expiry = expiry_of(fields[1] ~= 'canceling' and fields[6], fields[1] == 'queued' and fields[8] == '0' and fields[7])
  if not expiry or redis.call('ZSCORE', DEADLINES, member) then return 0 end
  redis.call('ZADD', DEADLINES, expiry, member)
  return 1
end

local function mend_place(member, fields)
  local lease, group = member .. '#' .. fields[2], group_of(fields[3], fields[4], fields[12])
  if redis.call('ZSCORE', LEASES, lease) then return 0 end
  if fields[1] ~= 'queued' then
    redis.call('ZADD', LEASES, now, lease) -- `reap` takes it from here
    return 1
  end
  if redis.call('ZSCORE', DELAYED, member) then return 0 end
  if redis.call('TYPE', INPUT .. member).ok ~= 'string' then
    redis.call('SET', OUTPUT .. member, '{"cause":"internal","detail":"its input was lost","retryable":true}', 'EX',
      kept_s(fields[11] or ttl, fields[9]))
    finish(member, 'failed', now, fields[11] or ttl, fields[9], 'c', 'internal')
    leave_ready(group, member)
    redis.call('ZREM', DEADLINES, member)
    note_usage(tenant, group, 'failed', 1)
    words[#words + 1] = member .. ' failed'
    return 1
  end
  local ready = redis.call('ZSCORE', READY .. group .. ':' .. tenant, member)
  if ready and redis.call('ZSCORE', TURN .. group, tenant) then return 0 end
  redis.call('ZADD', GROUPS, 'NX', now, group)
  enter_ready(group, member, fields[5])
  return 1
end

for _, member in ipairs(members) do
  local fields, broken = read(member)
  -- Nobody is told of it, and a change that stopped half-way (`amend`) may have left a URL behind.
  if fields and fields[13] and not fields[9] then redis.call('DEL', HOOK .. member) end
  if fields and ENDED[fields[1]] then
    mended = mended + mend_ended(member, fields[1], fields[9], fields[11])
  elseif fields then
    if fields[10] then redis.call('EXPIRE', DEDUPE .. tenant .. ':' .. fields[10], 86400, 'GT') end
    mended = mended + math.max(mend_deadline(member, fields), mend_place(member, fields))
  else
    if broken then
      quarantine(member, now)
    else
      redis.call('DEL', INPUT .. member, OUTPUT .. member, HOOK .. member, META .. member, PAST .. member,
        CHECKPOINT .. member)
    end
    redis.call('ZREM', INDEX .. tenant, member)
    forgotten = forgotten + 1
  end
end
count_usage(now)
say(words)
if mended > 0 then redis.pcall('HINCRBY', STATS, 'mended', mended) end
return {#members < limit and 0 or first + limit - forgotten, forgotten, mended}
