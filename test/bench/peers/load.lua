-- The load for wrk, the same for every contender: wrk -s load.lua … URL -- EVENTS FIRST [large]
--   Requests with EVENTS events each, numbered from FIRST on. The ids are those of events.h: a million in random order, each once in a
--   million, of which the table holds half. Times are the clock's, so that each event is newer than its row. With "large" an event has
--   some 10 kB and the shape of a real one around the contract's fields. Prints a line of name=value: "next" is the number after the last
--   event sent, "refused" counts replies above 399, "broken" connections that failed or were silent for too long, "cpu_load" seconds.
--   Latencies are as wrk corrects them: one that is much longer than usual stands for the requests, too, that it held up.
local ffi, bit = require 'ffi', require 'bit'

ffi.cdef [[
typedef struct { long seconds, nanoseconds; } bench_time;
int clock_gettime(int clock, bench_time *now);
]]

local first_names = { 'Alexandra', 'Bartholomew', 'Catherine', 'Dominic', 'Eleanor', 'Ferdinand', 'Gwendolyn', 'Harrison', 'Isabella',
  'Jonathan', 'Katharina', 'Leopold', 'Marianne', 'Nathaniel', 'Octavia', 'Penelope' }
local last_names = { 'Abernathy', 'Blackwood', 'Castellano', 'Donaldson', 'Eisenhower', 'Fitzgerald', 'Goldsmith', 'Hutchinson',
  'Ivanovich', 'Johansson', 'Kowalski', 'Lindqvist', 'Montgomery', 'Nakamura', "O'Sullivan", 'Papadopoulos' }

-- As in events.h; no product has more than 53 bits.
local function nth_id(n)
  local x = (n % 1048576 * 0x9E375 + 0x5A5A5) % 1048576
  x = bit.bxor(x, bit.rshift(x, 11))
  x = x * 0xB5297 % 1048576
  x = bit.bxor(x, bit.rshift(x, 9))
  x = x * 0xC2B2D % 1048576
  return bit.bxor(x, bit.rshift(x, 10))
end

-- ---- one request, of which only digits of ids and times are replaced before each sending ----

local buffer, size, events
local places = {} -- of each event: three ids and a time
local clock, written_ms = ffi.new 'bench_time', -1

local function rest_of_large(i)
  local fields, messages = {}, {}
  for n = 1, 12 do
    fields[n] = ('{"ident":"field_%d","value":"value %d","updatedAt":"2026-01-02T03:04:05+01:00"}'):format(n, i * 31 + n)
  end
  for n = 1, 24 do
    messages[n] = ('{"idOnExternalPlatform":"9a7b3c1d-%d","direction":"inbound","createdAt":"2026-01-02T03:04:05.1234567+00:00",' ..
      '"attachments":[],"messageContent":{"type":"TEXT","text":"Hello, I would like to know when my order \\"%d\\" arrives \\u2013 ' ..
      'thank you","payload":"{\\"elements\\":[{\\"id\\":1}]}"},"authorUser":null,"sentiment":"neutral",' ..
      '"reactionStatistics":{"likes":0,"shares":0}}'):format(n, 1000 + n)
  end
  return ',"status":"open","channel":{"id":"chat_3c1f","isPrivate":"True"},"customFields":[' .. table.concat(fields, ',') ..
    '],"messages":[' .. table.concat(messages, ',') .. ']'
end

local function make_request(large)
  local parts, length = {}, 0
  local function add(text)
    parts[#parts + 1] = text
    length = length + #text
  end
  local function place(text)
    places[#places + 1] = length
    add(text)
  end
  add '{"events":['
  for i = 0, events - 1 do
    add(i > 0 and ',{' or '{')
    if large then
      add '"eventId":"8f14e45f-ceea-467f-9575-0d3a4c1b2e77","eventType":"contact","createdAt":"2026-01-02T03:04:05.678+01:00",'
    end
    add '"id":"contact-'
    place '0000000'
    add '","externalId":"crm-account-'
    place '0000000'
    add(('","firstName":"%s","lastName":"%s","email":"customer.'):format(first_names[i % 16 + 1], last_names[i % 16 + 1]))
    place '0000000'
    add '@mail.example.com","timestamp":"'
    place '2000-01-01T00:00:00.000'
    add 'Z"'
    if large then add(rest_of_large(i)) end
    add '}'
  end
  add ']}'
  local head = ('POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n'):format(length)
  local text = head .. table.concat(parts)
  for i = 1, #places do places[i] = places[i] + #head end
  size = #text
  buffer = ffi.new('char[?]', size)
  ffi.copy(buffer, text, size)
  return length
end

local function write_id(at, id)
  for i = at + 6, at, -1 do
    buffer[i] = 48 + id % 10
    id = (id - id % 10) / 10
  end
end

local function write_times()
  ffi.C.clock_gettime(5, clock) -- CLOCK_REALTIME_COARSE
  local seconds, ms = tonumber(clock.seconds), math.floor(tonumber(clock.nanoseconds) / 1e6)
  if seconds * 1000 + ms == written_ms then return end
  written_ms = seconds * 1000 + ms
  local text = os.date('!%Y-%m-%dT%H:%M:%S', seconds) .. ('.%03d'):format(ms)
  for i = 4, #places, 4 do ffi.copy(buffer + places[i], text, #text) end
end

-- ---- what wrk calls ----

local threads = {}

function setup(thread) threads[#threads + 1] = thread end

function init(args)
  events, next_event = tonumber(args[1]), tonumber(args[2])
  events_each = events
  event_bytes = math.floor(make_request(args[3] == 'large') / events)
end

local tried = false

function request()
  write_times()
  -- the first one wrk only looks at
  if not tried then
    tried = true
    return ffi.string(buffer, size)
  end
  local n = next_event
  for i = 1, #places, 4 do
    local id = nth_id(n)
    write_id(places[i], id)
    write_id(places[i + 1], id)
    write_id(places[i + 2], id)
    n = n + 1
  end
  next_event = n
  return ffi.string(buffer, size)
end

function done(summary, latency)
  local errors, thread = summary.errors, threads[1]
  local seconds, answered = summary.duration / 1e6, summary.requests - summary.errors.status
  print(('result seconds=%.3f requests=%d events=%d rate=%.0f p50_us=%d p99_us=%d max_us=%d refused=%d broken=%d next=%d cpu_load=%.4f ' ..
    'event_bytes=%d'):format(seconds, answered, answered * thread:get 'events_each', answered * thread:get 'events_each' / seconds,
    latency:percentile(50), latency:percentile(99), latency.max, errors.status, errors.connect + errors.read + errors.write + errors.timeout,
    thread:get 'next_event', os.clock(), thread:get 'event_bytes'))
end
