  -- What is not as usual: jobs that failed, whose start was told, that are being canceled, that are none of this worker's any
  -- more, or that have something that few have.
  local read = reader('s', 'f', 'a', 'w', 'm', 't', 'q', 'j', 'W')
  local read_rest = reader('s', 'o', 'h', 'T', 'B', 'b')
  -- Failures that are nobody's last word: not the input's fault, and not said by the model.
  local GIVEN_UP = {worker_lost = true, timeout = true, oom = true, internal = true}
  local told_ttl, is_watched, members = format('%.0f', kept_s(ttl, true)), call('TYPE', DEADLINES).ok == 'zset', {}

  -- Inputs that are of no more use go together with those of the other jobs, and records get their time to live after that. One
  -- whose end is to be told gets it when that is done (`settle_deliveries`), which mostly is a moment later; `sweep` looks after
  -- those that nobody comes for.
  local function end_as(member, state, hook, kept, ...)
    if hook then post(end_of(member, hook), at) end
    call('HSET', JOB .. member, 's', state, 'e', at, 'M', spent, ...)
    if state == 'succeeded' then
      spent_inputs[#spent_inputs + 1] = INPUT .. member
      spent_inputs[#spent_inputs + 1] = CHECKPOINT .. member
    else
      drop_input(member, state, kept)
    end
    if not hook then fading[JOB .. member] = kept end
  end

  for _, number in ipairs(others) do
    local i = JOBS_AT + WIDTH * (number - 1)
    local member, fence, body = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local state, cause = end_of_pass(number)
    local fields, broken = read(member)
    local rest, rest_broken = nil, false
    if fields then rest, rest_broken = read_rest(member) end
    local ours = rest and fields[2] == fence and fields[4]
    local answer = '0'
    take_part(parts[number] or equal_ms)
    if broken or rest_broken then
      quarantine(member, now)
    elseif ours then
      local hook, is_brief = rest[3], fields[1] == 'queued'
      local kept = hook and (rest[4] and kept_s(rest[4], true) or told_ttl) or rest[4] or ttl
      if is_brief or fields[1] == 'running' then
        call('SET', OUTPUT .. member, body, 'EX', kept)
        if GIVEN_UP[cause] then bury(member, now_us) end
        local more = cause ~= '' and {'c', cause} or {}
        if is_brief then
          -- So short a pass that its start was not told apart.
          end_as(member, state, hook, kept, 'a', fields[3] + 1, 'b', began_text, 'g', size_text, unpack(more))
        else
          end_as(member, state, hook, kept, unpack(more))
        end
        local sum, share = sums_of(group_of(fields[5], fields[6], rest[5]), tenant_of(member))
        note_served(sum, share, 1, (is_brief and began or rest[6] or 0) - (rest[2] or fields[7]), fields[8] or 0)
        if cause ~= '' and cause ~= 'input' then sum.failed = sum.failed + 1 end
        note_used(share.used, state, 1, state == 'succeeded' and #body or 0)
        if fields[9] then tell_end(member, body) end
        answer = '1'
      elseif fields[1] == 'canceling' then
        -- This commit may have been stopped before, when the job was still to succeed.
        call('DEL', OUTPUT .. member)
        end_as(member, 'canceled', hook, kept)
        write_usage(tenant_of(member), fields[5] .. ':' .. fields[6], {canceled = 1, gpu_us = spent_us}, now)
        words[#words + 1], words[#words + 2] = member, 'canceled'
      elseif fields[1] == state then
        answer = '2'
      end
      leases[#leases + 1] = member .. '#' .. fence
      if is_watched then members[#members + 1] = member end
    end
    if answer ~= '0' then
      words[#words + 1], words[#words + 2] = member, state
    elseif not ours then
      late = late + 1
    end
    answers[number] = answer
  end
  call_in_pieces('ZREM', DEADLINES, members)
