-- Wireshark dissector for Pagewire's protocol, version 1 (src/wire/frame.ts and handshake.ts).
--
--   wireshark -X lua_script:captures/pagewire.lua FILE      once
--   cp captures/pagewire.lua ~/.local/lib/wireshark/plugins/   for good
--
-- A lane is recognised by its handshake, on any port. If the capture begins later, use "Decode As..." (TCP port,
-- PAGEWIRE). Payload must have been captured whole (snaplen 65535, `--set capture.snaplen=65535`).

local pagewire = Proto("pagewire", "Pagewire live migration")

-- Kept equal to FrameType of src/wire/frame.ts by a test, which rewrites it with UPDATE_GOLDEN=1.
local types = {
  [0x01] = "config",
  [0x02] = "configOk",
  [0x03] = "trace",
  [0x10] = "page",
  [0x11] = "flush",
  [0x12] = "confirm",
  [0x20] = "device",
  [0x21] = "handover",
  [0x22] = "resumed",
  [0x23] = "missing",
  [0x24] = "position",
  [0x25] = "fault",
  [0x26] = "report",
  [0x27] = "reported",
  [0x30] = "audit",
  [0x31] = "auditEnd",
  [0x32] = "auditResult",
  [0x44] = "fetch",
  [0x45] = "fetched",
  [0x46] = "block",
  [0x47] = "delta",
  [0x48] = "diskHashes",
  [0x49] = "diskUnknown",
  [0x4a] = "diskAudit",
  [0x4b] = "diskAuditEnd",
  [0x4c] = "diskAudited",
  [0x40] = "abort",
  [0x41] = "aborted",
  [0x42] = "error",
  [0x43] = "bye",
  [0x50] = "checkpoint",
  [0x51] = "log",
  [0x52] = "logMark",
  [0x53] = "replayed",
}

-- Kept equal to Encoding of src/memory/encoding.ts in the same way.
local encodings = {
  [0] = "raw",
  [1] = "zero",
  [2] = "same",
  [3] = "xbzrle",
  [4] = "xbrle",
  [5] = "sparse",
  [6] = "wkdm",
  [7] = "lz",
  [8] = "mapped",
}

local statuses = { [0] = "ok", [1] = "bad proof", [2] = "bad version", [3] = "bad lane" }

local magic = 0x50475752
local header_bytes = 16
local challenge_bytes = 40
local claim_bytes = 72
-- The largest page; no payload of any frame is longer.
local longest_payload = 2 * 1024 * 1024

local f = {
  handshake = ProtoField.string("pagewire.handshake", "Handshake"),
  protocol = ProtoField.uint16("pagewire.protocol", "Protocol version"),
  lane = ProtoField.uint16("pagewire.lane", "Lane"),
  status = ProtoField.uint16("pagewire.status", "Status", base.DEC, statuses),
  nonce = ProtoField.bytes("pagewire.nonce", "Nonce"),
  proof = ProtoField.bytes("pagewire.proof", "Proof"),
  type = ProtoField.uint8("pagewire.type", "Type", base.HEX),
  name = ProtoField.string("pagewire.name", "Frame"),
  encoding = ProtoField.uint8("pagewire.encoding", "Encoding", base.DEC, encodings),
  reserved = ProtoField.uint24("pagewire.reserved", "Reserved", base.HEX),
  length = ProtoField.uint32("pagewire.length", "Payload length"),
  a = ProtoField.uint32("pagewire.a", "a"),
  b = ProtoField.uint32("pagewire.b", "b"),
  page = ProtoField.uint32("pagewire.page", "Page"),
  version = ProtoField.uint32("pagewire.version", "Version of the page"),
  round = ProtoField.uint32("pagewire.round", "Round, as visible on the wire"),
  flush = ProtoField.uint32("pagewire.flush", "Flush"),
  pages = ProtoField.uint32("pagewire.pages", "Pages received on this lane"),
  offset = ProtoField.uint32("pagewire.device.offset", "Offset in the device state"),
  device_bytes = ProtoField.uint32("pagewire.device.bytes", "Bytes of device state in all"),
  lanes = ProtoField.uint32("pagewire.lanes", "Lanes"),
  lane_pages = ProtoField.uint32("pagewire.lane_pages", "Pages sent on a lane"),
  ready_ns = ProtoField.uint64("pagewire.ready_ns", "Device state complete at (ns)"),
  running_ns = ProtoField.uint64("pagewire.running_ns", "Guest ran at (ns)"),
  guest_ns = ProtoField.double("pagewire.guest_ns", "Guest time (ns)"),
  accesses = ProtoField.uint64("pagewire.accesses", "Accesses of the guest"),
  replay_speed = ProtoField.double("pagewire.replay_speed", "Speed of replay (0: any)"),
  record = ProtoField.uint32("pagewire.record", "Log record"),
  last = ProtoField.uint32("pagewire.last", "Guest is suspended"),
  waited_ns = ProtoField.double("pagewire.waited_ns", "Time that the guest waited (ns)"),
  differing = ProtoField.uint32("pagewire.differing", "Pages that differ"),
  requests = ProtoField.uint32("pagewire.requests", "Pages asked for"),
  still_missing = ProtoField.uint32("pagewire.missing_pages", "Pages still missing"),
  block = ProtoField.uint32("pagewire.block", "Block of the disk"),
  block_version = ProtoField.uint32("pagewire.block.version", "Version of the block"),
  record = ProtoField.uint32("pagewire.log.record", "Record of the input log"),
  text = ProtoField.string("pagewire.text", "Text"),
  payload = ProtoField.bytes("pagewire.payload", "Payload"),
}
pagewire.fields = f

local bad_reserved = ProtoExpert.new("pagewire.reserved.set", "Reserved bits are set", expert.group.PROTOCOL, expert.severity.WARN)
local unknown_type = ProtoExpert.new("pagewire.type.unknown", "Unknown frame type", expert.group.UNDECODED, expert.severity.NOTE)
pagewire.experts = { bad_reserved, unknown_type }

local tcp_stream = Field.new("tcp.stream")

-- Who of a connection is the source and when it spoke, by stream; open lanes and the round of each migration, by its two hosts; and the
-- round of each page, by where it was seen, since Wireshark dissects a packet as often as it likes.
local handshakes, migrations, rounds = {}, {}, {}

function pagewire.init()
  handshakes, migrations, rounds = {}, {}, {}
end

local function stream_number()
  local field = tcp_stream()
  return field and field.value or 0
end

local function type_name(code)
  return types[code] or string.format("unknown (0x%02x)", code)
end

-- A sweep ends with a flush on every lane that sent pages in it; the next page begins a round.
local function round_of(pinfo, stream, place, is_page, is_flush)
  local key = pinfo.number .. ":" .. place
  if rounds[key] then return rounds[key] end
  local hosts = tostring(pinfo.src) .. ">" .. tostring(pinfo.dst)
  local migration = migrations[hosts]
  if not migration then
    migration = { round = 0, open = {}, lanes = 0 }
    migrations[hosts] = migration
  end
  if is_page and not migration.open[stream] then
    if migration.lanes == 0 then migration.round = migration.round + 1 end
    migration.open[stream] = true
    migration.lanes = migration.lanes + 1
  end
  rounds[key] = migration.round
  if is_flush and migration.open[stream] then
    migration.open[stream] = nil
    migration.lanes = migration.lanes - 1
  end
  return migration.round
end

-- What a and b mean, and what the payload is. Each gets the tree, a, b (as ranges) and the payload (or nil).
local readers = {
  page = function(tree, a, b)
    tree:add(f.page, a)
    tree:add(f.version, b)
    return string.format(" %u v%u", a:uint(), b:uint())
  end,
  flush = function(tree, a)
    tree:add(f.flush, a)
    return string.format(" %u", a:uint())
  end,
  confirm = function(tree, a, b)
    tree:add(f.flush, a)
    tree:add(f.pages, b)
    return string.format(" %u: %u pages", a:uint(), b:uint())
  end,
  device = function(tree, a)
    tree:add(f.offset, a)
    return string.format(" +%u", a:uint())
  end,
  handover = function(tree, a, b, payload)
    tree:add(f.device_bytes, a)
    tree:add(f.lanes, b)
    for at = 0, (payload and payload:len() or 0) - 4, 4 do tree:add(f.lane_pages, payload(at, 4)) end
    return ""
  end,
  resumed = function(tree, _, _, payload)
    if payload and payload:len() >= 16 then
      tree:add(f.ready_ns, payload(0, 8))
      tree:add(f.running_ns, payload(8, 8))
    end
    return ""
  end,
  missing = function(tree, a)
    tree:add(f.page, a)
    return string.format(" from %u", a:uint())
  end,
  position = function(tree, _, _, payload)
    if payload and payload:len() >= 16 then
      tree:add(f.guest_ns, payload(0, 8))
      tree:add(f.accesses, payload(8, 8))
    end
    return ""
  end,
  fault = function(tree, a)
    tree:add(f.page, a)
    return string.format(" %u", a:uint())
  end,
  reported = function(tree, a, b, payload)
    tree:add(f.requests, a)
    tree:add(f.still_missing, b)
    if payload and payload:len() >= 8 then tree:add(f.waited_ns, payload(0, 8)) end
    return ""
  end,
  audit = function(tree, a)
    tree:add(f.page, a)
    return string.format(" from %u", a:uint())
  end,
  checkpoint = function(tree, _, _, payload)
    if payload and payload:len() >= 24 then
      tree:add(f.guest_ns, payload(0, 8))
      tree:add(f.accesses, payload(8, 8))
      tree:add(f.replay_speed, payload(16, 8))
    end
    return ""
  end,
  log = function(tree, a)
    tree:add(f.record, a)
    return string.format(" from record %u", a:uint())
  end,
  logMark = function(tree, a, b, payload)
    tree:add(f.record, a)
    tree:add(f.last, b)
    if payload and payload:len() >= 16 then
      tree:add(f.guest_ns, payload(0, 8))
      tree:add(f.accesses, payload(8, 8))
    end
    return string.format(" after record %u", a:uint())
  end,
  replayed = function(tree, _, b, payload)
    tree:add(f.last, b)
    if payload and payload:len() >= 16 then
      tree:add(f.guest_ns, payload(0, 8))
      tree:add(f.accesses, payload(8, 8))
    end
    return ""
  end,
  auditResult = function(tree, a, b)
    tree:add(f.differing, a)
    tree:add(f.page, b)
    return string.format(": %u differ", a:uint())
  end,
}

-- Blocks of the disk, with their version; and the records of an input log.
local function block_reader(tree, a, b)
  tree:add(f.block, a)
  tree:add(f.block_version, b)
  return string.format(" %u v%u", a:uint(), b:uint())
end
for _, name in ipairs({ "fetch", "fetched", "block" }) do readers[name] = block_reader end
for _, name in ipairs({ "diskHashes", "diskUnknown", "diskAudit" }) do
  readers[name] = function(tree, a)
    tree:add(f.block, a)
    return string.format(" from %u", a:uint())
  end
end
for _, name in ipairs({ "log", "logMark" }) do
  readers[name] = function(tree, a)
    tree:add(f.record, a)
    return string.format(" %u", a:uint())
  end
end

local textual = { config = true, abort = true, error = true }

local function add_frame(tvb, pinfo, tree)
  local code = tvb(0, 1):uint()
  local name = type_name(code)
  local reserved, length = tvb(1, 3), tvb(4, 4):uint()
  local a, b = tvb(8, 4), tvb(12, 4)
  local payload = length > 0 and tvb(header_bytes, length) or nil
  local item = tree:add(pagewire, tvb(), "Pagewire, " .. name)
  local type_item = item:add(f.type, tvb(0, 1)):append_text(" (" .. name .. ")")
  item:add(f.name, tvb(0, 1), name):set_generated()
  if not types[code] then type_item:add_proto_expert_info(unknown_type) end
  if name == "page" then
    item:add(f.encoding, tvb(1, 1))
    reserved = tvb(2, 2)
  end
  if reserved:uint() ~= 0 then item:add(f.reserved, tvb(1, 3)):add_proto_expert_info(bad_reserved) end
  item:add(f.length, tvb(4, 4))
  local told = ""
  local reader = readers[name]
  if reader then
    told = reader(item, a, b, payload)
  else
    item:add(f.a, a)
    item:add(f.b, b)
  end
  if name == "page" or name == "flush" then
    local round = round_of(pinfo, stream_number(), tvb:offset(), name == "page", name == "flush")
    item:add(f.round, round):set_generated()
  end
  if payload and textual[name] then
    item:add(f.text, payload)
  elseif payload then
    item:add(f.payload, payload)
  end
  item:append_text(told)
  return name .. told
end

-- Who a handshake message is from decides how long it is: the destination speaks first, with 40 bytes, the source
-- answers with 72, the destination ends with 40. The first message seen tells who is who: 72 bytes that are not two
-- messages of the destination in one segment.
local function is_from_source(pinfo, tvb, offset)
  local stream = stream_number()
  local sender = tostring(pinfo.src) .. ":" .. pinfo.src_port
  local known = handshakes[stream]
  if not known then
    local receiver = tostring(pinfo.dst) .. ":" .. pinfo.dst_port
    local is_claim = tvb:len() - offset >= claim_bytes and tvb(offset + challenge_bytes, 4):uint() ~= magic
    known = { source = is_claim and sender or receiver }
    handshakes[stream] = known
  end
  local from_source = known.source == sender
  if from_source and not known.claim then known.claim = pinfo.number end
  return from_source, known
end

local function add_handshake(tvb, pinfo, tree)
  local from_source, known = is_from_source(pinfo, tvb, 0)
  local item = tree:add(pagewire, tvb(), "Pagewire, handshake")
  item:add(f.protocol, tvb(4, 2))
  local kind = "challenge"
  if from_source then
    kind = "claim"
    item:add(f.lane, tvb(6, 2))
    item:add(f.nonce, tvb(8, 32))
    item:add(f.proof, tvb(40, 32))
  elseif known.claim and known.claim < pinfo.number then
    kind = "verdict"
    item:add(f.status, tvb(6, 2))
    item:add(f.proof, tvb(8, 32))
  else
    item:add(f.nonce, tvb(8, 32))
  end
  item:add(f.handshake, tvb(0, 4), kind):set_generated()
  item:append_text(", " .. kind)
  return kind
end

local function message_length(tvb, pinfo, offset)
  if tvb(offset, 4):uint() == magic then
    return is_from_source(pinfo, tvb, offset) and claim_bytes or challenge_bytes
  end
  local length = tvb(offset + 4, 4):uint()
  -- Nothing that could be a frame: the rest of the segment is shown as it is, and the next one is tried again.
  if length > longest_payload then return tvb:len() - offset end
  return header_bytes + length
end

-- What the segment at hand has shown so far, for the info column.
local shown = {}

local function add_message(tvb, pinfo, tree)
  local what
  if tvb(0, 4):uint() == magic then
    what = add_handshake(tvb, pinfo, tree)
  elseif tvb:len() < header_bytes or header_bytes + tvb(4, 4):uint() ~= tvb:len() then
    tree:add(pagewire, tvb(), "Pagewire, not understood")
    what = "not understood"
  else
    what = add_frame(tvb, pinfo, tree)
  end
  shown[#shown + 1] = what
  return tvb:len()
end

local shown_at_most = 4

function pagewire.dissector(tvb, pinfo, tree)
  shown = {}
  dissect_tcp_pdus(tvb, tree, header_bytes, message_length, add_message)
  pinfo.cols.protocol:set("PAGEWIRE")
  if #shown == 0 then return tvb:len() end
  local text = table.concat(shown, ", ", 1, math.min(#shown, shown_at_most))
  if #shown > shown_at_most then text = text .. string.format(" and %d more", #shown - shown_at_most) end
  pinfo.cols.info:set(text)
  return tvb:len()
end

local function is_handshake(tvb, pinfo, tree)
  if tvb:len() < 4 or tvb(0, 4):uint() ~= magic then return false end
  pinfo.conversation = pagewire
  pagewire.dissector(tvb, pinfo, tree)
  return true
end

pagewire:register_heuristic("tcp", is_handshake)
DissectorTable.get("tcp.port"):add_for_decode_as(pagewire)
