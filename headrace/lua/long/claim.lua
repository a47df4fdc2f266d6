  -- What is not as usual: several tenants or tiers wait, something is paused or capped or has a weight, or a job is no plain
  -- one.
  local read = reader('s', 'f', 'a', 'n')
  -- What only those have that were claimed before, of whose passes something was kept, or that ask for what few do.
  local read_rest = reader('s', 'k', 'C', 'R', 'S', 'p', 'd', 'L', 'D')
  local has_caps = is_ruled and call('EXISTS', RUNNING_CAPS) == 1
  local traces, rescues, dues, limits, kept, repeats, apart, seeds = {}, {}, {}, {}, {}, {}, {}, {}
  for k, told in ipairs({traces, rescues, dues, limits, kept, repeats, apart, seeds}) do reply[k + 2] = told end
  -- How many more jobs of each tenant workers may hold, where that is limited.
  local rooms = {}

  -- What is paused is as if nothing were in it: nobody comes back for it until `resume` rings.
  local paused = {}
  if is_ruled then
    local queues = {}
    for i = 9, #ARGV do queues[i - 8] = counted_in(ARGV[i]) end
    paused = pcall('HMGET', PAUSED, unpack(queues))
  end

  -- The turns of tenants that may have more, as many as are needed, and how many tenants may not.
  local function within_caps(turns)
    local names, kept, full = {'*'}, {}, 0
    for k = 1, #turns, 2 do names[#names + 1] = turns[k] end
    local caps = pcall('HMGET', RUNNING_CAPS, unpack(names))
    for k = 1, #turns, 2 do
      local tenant, cap = turns[k], tonumber(caps[(k + 3) / 2] or caps[1] or nil)
      if cap and not rooms[tenant] then
        local holds, gone = held_by(tenant)
        call_in_pieces('SREM', HELD .. tenant, gone)
        rooms[tenant] = math.max(0, cap - holds)
      end
      if rooms[tenant] == 0 then
        full = full + 1
      elseif #kept < 2 * most then
        kept[#kept + 1] = tenant
        kept[#kept + 1] = turns[k + 1]
      end
    end
    return kept, full
  end

  local function turns_of(i)
    if paused[i - 8] then return {}, 0 end
    local turns = pcall('ZRANGE', TURN .. ARGV[i], 0, has_caps and 999 or most - 1, 'WITHSCORES')
    local full = 0
    if has_caps and turns[1] then turns, full = within_caps(turns) end
    is_held_back = is_held_back or full > 0
    return turns, full
  end

  local function may_go_on(queue)
    return queue.heads[queue.at] and rooms[queue.tenant] ~= 0
  end

  -- The queue whose turn it is in a group: least served among those that still have heads, and may have more.
  local function in_turn(source)
    local queues, best = source.queues, nil
    if #queues == 1 then return may_go_on(queues[1]) and queues[1] end
    for _, queue in ipairs(queues) do
      if may_go_on(queue) and (not best or queue.vtime < best.vtime) then best = queue end
    end
    return best
  end

  local function first_of(some)
    if #some == 1 then return in_turn(some[1]), some[1] end
    local best, best_source, best_score
    for _, source in ipairs(some) do
      local queue = in_turn(source)
      if queue then
        local score = tonumber(queue.heads[queue.at + 1])
        if not best or score < best_score then best, best_source, best_score = queue, source, score end
      end
    end
    return best, best_source
  end

  local urgent
  local function next_job()
    if not urgent then
      urgent = {}
      for _, source in ipairs(sources) do
        if string.find(source.group, ':priority>?%d*$') then urgent[#urgent + 1] = source end
      end
    end
    if count < lane and #urgent > 0 then
      local queue, source = first_of(urgent)
      if queue then return queue, source end
    end
    return first_of(sources)
  end

  -- A job that changed its tier half-way stands in two queues: it is met once.
  local function note(queue, member, fence)
    met[member] = true
    local tenant = queue.tenant
    if rooms[tenant] then
      rooms[tenant] = rooms[tenant] - 1
      held[tenant] = held[tenant] or {}
      table.insert(held[tenant], member .. '#' .. fence)
    end
  end

  local function add(told, value)
    if value then told[#told + 1], told[#told + 2] = count, value end
  end

  local function tell(rest, state)
    add(traces, rest[6])
    add(rescues, rest[2] and tonumber(rest[2]))
    add(dues, rest[7] and rest[7] - now)
    add(limits, rest[8])
    add(kept, state ~= '' and state)
    add(repeats, rest[4])
    add(apart, rest[5] and 1)
    add(seeds, rest[9])
  end

  -- Answers whether there is no room for it.
  local function take_other(queue, source, member, input)
    local fields, broken = nil, false
    if not met[member] then fields, broken = read(member) end
    local waits = fields and fields[1] == 'queued'
    local rest = waits and input and read_rest(member)
    local state = rest and rest[3] and pcall('GET', CHECKPOINT .. member)
    if type(state) ~= 'string' then state = '' end
    if rest and count > 0 and bytes + #input + #state > room then return true end
    queue.at = queue.at + step
    if rest then
      local fence = next_fence(fields[2], now_us)
      note(queue, member, fence)
      call('HSET', JOB .. member, 'f', fence, 'w', worker, 'l', now_text, 'j', queue.price_text)
      take(queue, source, member, fence, tonumber(fields[3]), tonumber(fields[4]), input)
      bytes = bytes + #state
      tell(rest, state)
    elseif broken or waits then
      quarantine(member, now)
    end
  end

  local function is_full(tenant)
    return rooms[tenant] == 0
  end

  return {turns_of = turns_of, next_job = next_job, note = note, take_other = take_other, is_full = is_full}
