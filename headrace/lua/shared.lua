-- Shared functions, put before the body of every script that uses them; what is seldom needed of a busy script stands in
-- `long`, and is put where its body says so. The capital names are key families: `headrace.keys` spells them.
-- A member is tenant/id; a group is name@version:tier, with >bytes behind it for jobs that have outgrown workers with no more
-- memory than that. A job is held while a worker's name is in its field w.
--
-- A script may stop between any two writes, and nothing is rolled back. So a job enters the set it goes to before it leaves
-- the one it comes from, and each change of a record is one HSET, or the COPY that makes it: an entry that the record does
-- not bear out is dropped by whoever meets it, while a job that nothing leads to would have to wait for `sweep`.

local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000), t[1] * 1000000 + t[2]
end

-- A fence no server hands out twice, also one that came back from an older file: microseconds, and always rising.
local last_fence, last_fence_text
local function next_fence(fence, now_us)
  local next = math.max(tonumber(fence) + 1, now_us)
  if next ~= last_fence then last_fence, last_fence_text = next, string.format('%.0f', next) end
  return last_fence_text
end

-- Where a job waits. What has outgrown a worker's memory waits apart, so that no worker of that size meets it.
local function group_of(ref, tier, outgrown)
  return ref .. ':' .. tier .. (outgrown and '>' .. outgrown or '')
end

-- Where the counts of a group are: jobs that have outgrown a size cost their tenant what others do.
local function counted_in(group)
  return string.match(group, '^[^>]*')
end

-- Asked for many members of few tenants: the one found last is tried first.
local last_tenant, last_prefix = '', '/'
local function tenant_of(member)
  if string.find(member, last_prefix, 1, true) == 1 then return last_tenant end
  local tenant = string.match(member, '^(.-)/')
  if tenant then last_tenant, last_prefix = tenant, tenant .. '/' end
  return tenant
end

-- The states, and which of them are ends.
local ENDED = {queued = false, running = false, canceling = false,
  succeeded = true, failed = true, canceled = true, expired = true}
-- The fields that are numbers, and those that a sound record may lack; each is one letter.
local NUMBERS, OPTIONALS = 'fanzqobdykjLTgBPAED', 'wrobdyhpkiuxjCLTgBPANWRSEDF'

-- A function that reads these fields of records, the state first: empty ones as false; or nil and whether the record is
-- broken rather than gone. What is known of the fields is looked up once a script, not once a job.
local function reader(...)
  local names, count, number, optional = {...}, select('#', ...), {}, {}
  for i = 1, count do
    number[i], optional[i] = string.find(NUMBERS, names[i], 1, true), string.find(OPTIONALS, names[i], 1, true)
  end
  return function(member)
    local fields = redis.pcall('HMGET', JOB .. member, unpack(names))
    if fields.err then return nil, true end
    local sound, found = ENDED[fields[1]] ~= nil, false
    for i = 1, count do
      local value = fields[i]
      if value and value ~= '' then
        found = true
        sound = sound and (not number[i] or (tonumber(value) or math.huge) < 1e16)
      else
        fields[i] = false
        sound = sound and optional[i]
      end
    end
    if sound then return fields end
    return nil, found
  end
end

local function quarantine(member, now)
  local added = redis.pcall('ZADD', QUARANTINE, 'NX', now, member)
  if added == 1 then redis.pcall('HINCRBY', STATS, 'quarantined', 1) end
end

-- When a job expires: at its deadline, or at its latest start if that is earlier; nil if it never does.
local function expiry_of(deadline, start_by)
  local first = math.min(tonumber(deadline or nil) or math.huge, tonumber(start_by or nil) or math.huge)
  return first < math.huge and first or nil
end

-- Streams that only wake somebody. Whatever else lies there goes: a hint is not worth a job.
local function tell(key, ...)
  local told = redis.pcall('XADD', key, 'MAXLEN', ...)
  if type(told) == 'table' then
    redis.call('DEL', key)
    redis.call('XADD', key, 'MAXLEN', ...)
    redis.pcall('HINCRBY', STATS, 'strays', 1)
  end
end

-- The device's time in ms over a tenant's weight; what is no time or no weight counts as 1.
local function virtual_ms(ms, weight)
  ms, weight = ms or 1, tonumber(weight or nil) or 1
  if not (ms >= 0 and ms < 1e12) then ms = 1 end
  return weight > 0 and weight < 1e6 and ms / weight or ms
end

-- Virtual time is the device's, in ms, over the tenant's weight: in a group the tenant comes next that has had least. Of one
-- that waits for nothing it is kept while others wait. It is bookkeeping, and never stops a script.
local function charge(group, tenant, amount)
  if amount == 0 or redis.pcall('ZADD', TURN .. group, 'XX', 'INCR', amount, tenant) then return end
  if redis.pcall('HEXISTS', PAID .. group, tenant) == 1 then
    redis.pcall('HINCRBYFLOAT', PAID .. group, tenant, amount)
  end
end

-- A tenant waits for nothing more in a group. Once nobody does, what each has had is forgotten. Who knows that it `is_last`
-- need not look.
local function leave_turn(group, tenant, had, is_last)
  if is_last then return redis.call('DEL', TURN .. group, PAID .. group) end
  redis.call('ZREM', TURN .. group, tenant)
  if redis.call('EXISTS', TURN .. group) == 0 then
    redis.call('DEL', PAID .. group)
  elseif had and type(redis.pcall('HSET', PAID .. group, tenant, had)) == 'number' then
    redis.call('EXPIRE', PAID .. group, 86400)
  end
end

-- Into the ready set. A tenant that had nothing ready takes its turn with the least served, or later if it has had more, so
-- neither idling nor coming and going saves anything up; and the bell rings: a worker waits at the bell only after a claim that found nothing, so no other ring is needed.
-- The bell comes first: whoever comes for nothing clears the tenant's turn away, and the next job rings again.
local function enter_ready(group, member, score)
  local tenant = tenant_of(member)
  -- Mostly nobody has a turn, or this tenant alone: one look tells.
  local first = redis.call('ZRANGE', TURN .. group, 0, 0, 'WITHSCORES')
  if first[1] ~= tenant and not (first[1] and redis.call('ZSCORE', TURN .. group, tenant)) then
    local had = first[2] and redis.pcall('HGET', PAID .. group, tenant)
    tell(BELL .. group, 1, '*', 'r', 1)
    -- A moment before the least served, who would otherwise come first by its name.
    local lifted = first[2] and first[2] - 0.001 or 0
    redis.call('ZADD', TURN .. group, math.max(lifted, type(had) == 'string' and tonumber(had) or 0), tenant)
  end
  redis.call('ZADD', READY .. group .. ':' .. tenant, score, member)
end

-- The turns that the keys of one tenant's queue (`group:tenant`) take: round by round, one job of each key in each. Nobody
-- joins the round that is being served, so it ends, however many keys come. A round has the score of the job that opened
-- it, so rounds are as old as what waits in them: among tiers all is as without keys, and what comes by its arrival alone
-- is served among them. FLOWS holds the last round of each key that waits, ROUNDS the score of each round that is not over.
-- Both are bookkeeping: they never stop a script, and may be lost.
local function rounds_of(queue)
  local head = redis.pcall('ZRANGE', READY .. queue, 0, 0, 'WITHSCORES')
  local open = head[2] and redis.pcall('ZRANGE', ROUNDS .. queue, head[2], '+inf', 'BYSCORE', 'LIMIT', 0, 1) or {}
  local latest = open[1] and redis.call('ZRANGE', ROUNDS .. queue, -1, -1, 'WITHSCORES') or {}
  local served, last_score = tonumber(open[1] or nil) or 0, tonumber(latest[2] or nil) or 0
  local rounds, scores, flows, taken = {}, {}, {}, {}

  local function look_up(family, name)
    local found = open[1] and redis.pcall('ZSCORE', family .. queue, name)
    return type(found) == 'string' and tonumber(found) or nil
  end

  -- The score of a key's next job, whose arrival has this one; it is the key's last from then on.
  function rounds.take(flow, score)
    local round = math.max(served, flows[flow] or look_up(FLOWS, flow) or 0) + 1
    local known = scores[round] or look_up(ROUNDS, round)
    if not known then
      known = math.max(score, last_score + 0.001)
      last_score = known
      taken[#taken + 1], taken[#taken + 2] = string.format('%.3f', known), round
    end
    flows[flow], scores[round] = round, known
    return known
  end

  function rounds.write()
    if open[1] then
      redis.pcall('ZREMRANGEBYSCORE', ROUNDS .. queue, '-inf', '(' .. head[2])
      redis.pcall('ZREMRANGEBYSCORE', FLOWS .. queue, '-inf', served)
    else
      redis.call('DEL', ROUNDS .. queue, FLOWS .. queue)
    end
    local last_rounds = {}
    for flow, round in pairs(flows) do
      last_rounds[#last_rounds + 1] = round
      last_rounds[#last_rounds + 1] = flow
    end
    for key, values in pairs({[ROUNDS] = taken, [FLOWS] = last_rounds}) do
      for k = 1, #values, 2000 do redis.pcall('ZADD', key .. queue, unpack(values, k, math.min(k + 1999, #values))) end
      redis.pcall('EXPIRE', key .. queue, 86400)
    end
  end

  return rounds
end

local function leave_ready(group, member)
  local tenant = tenant_of(member)
  local ready = READY .. group .. ':' .. tenant
  redis.call('ZREM', ready, member)
  if redis.call('EXISTS', ready) == 0 then leave_turn(group, tenant, redis.call('ZSCORE', TURN .. group, tenant)) end
end

-- Which of a tenant's jobs workers hold, of those that were listed when they were claimed: a job whose lease is over counts
-- no more, however it ended. How many they are, and the entries of the others.
local function held_by(tenant)
  local listed, count, gone = redis.pcall('SMEMBERS', HELD .. tenant), 0, {}
  for first = 1, #listed, 1000 do
    local last = math.min(first + 999, #listed)
    local expiries = redis.call('ZMSCORE', LEASES, unpack(listed, first, last))
    for i = first, last do
      if expiries[i - first + 1] then count = count + 1 else gone[#gone + 1] = listed[i] end
    end
  end
  return count, gone
end

-- With `ends`, members and how their jobs have ended, for those who wait for them.
local function say(words, ends)
  if #words > 0 then
    tell(EVENTS, '~', 1000, '*', 'jobs', table.concat(words, ' '), unpack(ends or {}))
  end
end

-- What was kept of a pass is of no more use. A job without a result keeps its input for whoever looks into it, or sends it again.
local function drop_input(member, state, ttl)
  if state == 'succeeded' then
    redis.call('DEL', INPUT .. member, CHECKPOINT .. member)
  else
    redis.call('DEL', CHECKPOINT .. member)
    redis.call('EXPIRE', INPUT .. member, ttl)
  end
end

-- A record's time to live comes last: `sweep` looks after those that have none. (Of plain jobs it comes before the input goes, which
-- `sweep` looks after, too.)
local function let_go(member, state, ttl)
  drop_input(member, state, ttl)
  redis.call('EXPIRE', JOB .. member, ttl)
end

-- A job whose end somebody is to be told of (hook, its field h) stays until that is done, which sets the usual time to
-- live (`settle_deliveries`), or until this is over, if no courier ever comes.
local HOLD_S = 4 * 86400

local function kept_s(ttl, hook)
  return hook and ttl + HOLD_S or ttl
end

-- A hook is the number of the job's next event, and letters of what is told of it (`endpoints.letters_of`): s for its
-- starts, p for its progress; none for its end alone.
local function end_of(member, hook)
  return member .. ':' .. (hook == '1' and hook or string.match(hook, '^%d+') or '1')
end

-- The rows that a courier works from come before the state, so that no end goes untold; a row that the record does not
-- bear out is dropped by `claim_deliveries`. One ring a call is enough.
local has_rung = false
local function ring_couriers()
  if not has_rung then tell(COURIERS, 1, '*', 'r', 1) end
  has_rung = true
end

local function post(delivery, now)
  ring_couriers()
  redis.call('ZADD', OUTBOX, now, delivery)
end

-- An event before the end. What it says stands beside its row, since the record goes on; the hook that this answers
-- counts it, once it is in the record.
local function post_early(member, hook, event, at, attempt, now, ...)
  local seq, letters = string.match(hook, '^(%d*)(.*)$')
  seq = tonumber(seq) or 1
  local delivery = string.format('%s:%d', member, seq)
  redis.call('DEL', DELIVERY .. delivery)
  redis.call('HSET', DELIVERY .. delivery, 'k', event, 'e', at, 'n', attempt, ...)
  redis.call('EXPIRE', DELIVERY .. delivery, HOLD_S)
  post(delivery, now)
  return string.format('%d', seq + 1) .. letters
end

-- Processes of an earlier release give every end the number 1, which an event before it may have: the row of the end is
-- made up for when that one leaves the outbox.
local function mend_end(member, now)
  local fields = redis.pcall('HMGET', JOB .. member, 's', 'h')
  if fields.err or not ENDED[fields[1]] or not fields[2] then return end
  local delivery = end_of(member, fields[2])
  if redis.call('EXISTS', DELIVERY .. delivery) == 0 then redis.call('ZADD', OUTBOX, 'NX', now, delivery) end
end

-- A dead letter: a job given up by those who ran it, not for its input or by its model's own word. It is noted before its
-- state, and never stops a script; an entry whose job has not failed is passed over by whoever reads. Each has a
-- microsecond of its own, so that a list of them can be gone through page by page.
local buried = 0
local function bury(member, now_us)
  local dead = DEAD .. tenant_of(member)
  buried = buried + 1
  if redis.pcall('ZADD', dead, string.format('%.0f', now_us + buried), member) == 1 then redis.pcall('HINCRBY', STATS, 'dead', 1) end
  redis.pcall('ZREMRANGEBYRANK', dead, 0, -10001)
end

-- An attempt that came to no result, for whoever asks later: who ran it, from when to when, in how large a batch, why it
-- ended. It is noted after the change of the record, and never stops a script.
local function note_attempt(member, worker, begun, now, size, why)
  redis.pcall('RPUSH', PAST .. member, cjson.encode({worker or cjson.null, tonumber(begun or nil) or cjson.null, now,
    tonumber(size or nil) or cjson.null, why}))
  redis.pcall('LTRIM', PAST .. member, -20, -1)
end

-- Jobs of a group that failed, and not for their input: they tell good versions from bad ones. Counts never stop a script.
local function count_failed(group, jobs)
  redis.pcall('HINCRBY', QUEUE .. group, 'failed', jobs)
end

-- By the day on which it happened, counted from 1970. The list of days is written when something is new on one.
local function write_usage(tenant, group, sums, now)
  local day, field, is_new = math.floor(now / 86400000), counted_in(group) .. ':', false
  local key = USAGE .. tenant .. ':' .. day
  for what, amount in pairs(sums) do
    if amount > 0 then is_new = redis.pcall('HINCRBY', key, field .. what, amount) == amount or is_new end
  end
  if is_new then redis.pcall('ZADD', USAGE_DAYS, day, tenant .. ':' .. day) end
end

-- What tenants had: added up while a script runs, and written once for each tenant and group when all states are, so a stop
-- may leave something uncounted and never counts anything twice. Counts never stop a script.
local tally = {}

local function note_usage(tenant, group, what, amount)
  local groups = tally[tenant]
  if not groups then
    groups = {}
    tally[tenant] = groups
  end
  local sums = groups[group]
  if not sums then
    sums = {}
    groups[group] = sums
  end
  sums[what] = (sums[what] or 0) + amount
end

local function count_usage(now)
  for tenant, groups in pairs(tally) do
    for group, sums in pairs(groups) do write_usage(tenant, group, sums, now) end
  end
  tally = {}
end

-- The last change of a record. What is canceled or expired has no output: one that lies there is of a commit or a failure that
-- was stopped.
local function conclude(member, state, now, ttl, ...)
  if state ~= 'failed' then redis.call('DEL', OUTPUT .. member) end
  redis.call('HSET', JOB .. member, 's', state, 'e', now, ...)
  let_go(member, state, ttl)
end

local function finish(member, state, now, ttl, hook, ...)
  if hook then post(end_of(member, hook), now) end
  conclude(member, state, now, kept_s(ttl, hook), ...)
end

-- The end of a job that waits, wherever it does.
local function call_off(member, group, fence, now, ttl, hook)
  finish(member, 'canceled', now, ttl, hook)
  leave_ready(group, member)
  redis.call('ZREM', DELAYED, member)
  redis.call('ZREM', DEADLINES, member)
  redis.call('ZREM', LEASES, member .. '#' .. fence)
  note_usage(tenant_of(member), group, 'canceled', 1)
  count_usage(now)
  say({member, 'canceled'})
end

-- Variadic commands in pieces: Lua's stack holds no more than some thousands.
local function call_in_pieces(command, key, values)
  for k = 1, #values, 2000 do
    redis.call(command, key, unpack(values, k, math.min(k + 1999, #values)))
  end
end

