#include "core/parser.h"

#include "core/event_mapper.h"
#include "core/event_walk.h"
#include "core/json_pointer.h"
#include "core/json_text.h"
#include "core/utf8.h"

#include <utility>

namespace cxone_sync {

namespace {

/*
 * Reads one envelope: follows the path to the events, hands each event's tokens to the walk, and has it
 * mapped at its end.
 */
class EnvelopeReader : public JsonHandler {
public:
    EnvelopeReader(Delivery &delivery, const ParseLimits &limits)
        : delivery_(delivery), limits_(limits), path_(parse_json_pointer(limits.envelope.path).value()),
          walk_(delivery.mapping.get()), mapper_(delivery, limits)
    {
    }

    /* Of the next line, whose JSON text begins now. */
    void begin();
    /* What was read of the line is no event; the whole line is. False if it is one too many. */
    bool refuse_line(std::string_view line, const char *sqlstate, const std::string &problem);
    /* Why the line just read cannot be taken, and the line alone; empty if it can. */
    std::string line_problem();

    void restart() override;
    bool value(JsonKind kind, std::string_view raw, std::string_view text, bool has_nul) override;
    bool key(std::string_view raw, std::string_view text, bool has_nul) override;
    bool open(JsonKind kind) override;
    bool close(JsonKind kind, std::string_view raw) override;

    const BodyRefusal &refusal() const noexcept { return refusal_; }
    std::string no_events() const;
    bool found_events() const noexcept { return found_events_; }

private:
    /* Where the value that comes next stands. */
    enum class Position { elsewhere, on_the_path, events, event, in_event };

    Position position() const noexcept;
    bool refuse(int status, std::string reason);
    bool refuse_position(Position position, JsonKind kind);
    bool begin_event();
    void finish_event(JsonKind kind, std::string_view raw);

    Delivery &delivery_;
    const ParseLimits &limits_;
    const std::vector<std::string> path_;
    EventWalk walk_;
    EventMapper mapper_;
    BodyRefusal refusal_;

    std::uint32_t event_count_ = 0;
    bool found_events_ = false;

    /* of this line */
    std::size_t first_event_ = 0; /* in delivery.events */
    std::uint32_t first_number_ = 0;
    bool found_here_ = false;
    unsigned level_ = 0;      /* open arrays and objects */
    unsigned path_level_ = 0; /* of them, the outermost ones that the path leads through */
    bool path_next_ = false;  /* the innermost of those had the path's key last */
    unsigned events_level_ =
        0; /* the level at which the events stand, while inside their array; 0: outside */
    bool in_event_ = false;
    unsigned event_level_ = 0; /* the level at which the event under way stands */
};

void EnvelopeReader::begin()
{
    first_event_ = delivery_.events.size();
    first_number_ = event_count_;
    found_here_ = path_next_ = in_event_ = false;
    level_ = path_level_ = events_level_ = event_level_ = 0;
}

void EnvelopeReader::restart()
{
    delivery_.events.resize(first_event_);
    event_count_ = first_number_;
    if (first_event_ == 0) {
        delivery_.unmapped.clear();
        delivery_.collected_bytes = 0;
        delivery_.arena.release();
    }
    begin();
}

bool EnvelopeReader::refuse_line(std::string_view line, const char *sqlstate, const std::string &problem)
{
    delivery_.events.resize(first_event_);
    event_count_ = first_number_;
    if (!begin_event())
        return false;
    found_events_ = true;
    in_event_ = false;
    mapper_.refuse(line, event_count_ - 1, sqlstate, problem);
    delivery_.events.back().is_envelope = !limits_.envelope.is_event;
    return true;
}

/* A body with too many events is refused as a whole, whatever it consists of. */
std::string EnvelopeReader::line_problem()
{
    if (refusal_.status == 400)
        return std::exchange(refusal_, {}).reason;
    return refusal_.status == 0 && !found_here_ ? no_events() : std::string();
}

std::string EnvelopeReader::no_events() const
{
    return path_.empty() ? "no event" : "no " + json_pointer_shown(path_);
}

bool EnvelopeReader::refuse(int status, std::string reason)
{
    refusal_ = {status, std::move(reason)};
    return false;
}

EnvelopeReader::Position EnvelopeReader::position() const noexcept
{
    if (in_event_)
        return Position::in_event;
    if (events_level_ > 0)
        return Position::event;
    if (level_ != path_level_ || (level_ > 0 && !path_next_))
        return Position::elsewhere;
    return path_level_ == path_.size() ? Position::events : Position::on_the_path;
}

/* Only an object leads on, and only an array, or the body itself, holds events. */
bool EnvelopeReader::refuse_position(Position position, JsonKind kind)
{
    if (position == Position::on_the_path && level_ == 0 && kind != JsonKind::object)
        return !refuse(400, "the body is not a JSON object");
    if (position == Position::on_the_path && level_ > 0 && found_here_)
        return !refuse(400, json_pointer_shown(path_) + " appears more than once");
    if (position != Position::events || limits_.envelope.is_event)
        return false;
    if (found_here_)
        return !refuse(400, json_pointer_shown(path_) + " appears more than once");
    if (path_.empty() && kind != JsonKind::array && kind != JsonKind::object)
        return !refuse(400, "the body is neither an event nor an array of events");
    if (!path_.empty() && kind != JsonKind::array)
        return !refuse(400, json_pointer_shown(path_) + " is not an array");
    return false;
}

bool EnvelopeReader::key(std::string_view raw, std::string_view text, bool has_nul)
{
    if (in_event_)
        walk_.key(raw, text, has_nul);
    else if (level_ == path_level_ && path_level_ <= path_.size())
        path_next_ = text == path_[path_level_ - 1];
    return true;
}

bool EnvelopeReader::value(JsonKind kind, std::string_view raw, std::string_view text, bool has_nul)
{
    const Position at = position();
    if (refuse_position(at, kind))
        return false;
    if (at == Position::in_event) {
        walk_.value(kind, raw, text, has_nul);
    } else if (at == Position::event || at == Position::events) {
        found_events_ = found_here_ = true;
        if (!begin_event())
            return false;
        finish_event(kind, raw);
    }
    return true;
}

bool EnvelopeReader::open(JsonKind kind)
{
    const Position at = position();
    if (refuse_position(at, kind))
        return false;
    if (at == Position::events)
        found_events_ = found_here_ = true;
    const bool is_event = kind == JsonKind::object || limits_.envelope.is_event;
    if (at == Position::event || (at == Position::events && is_event)) {
        if (!begin_event())
            return false;
        event_level_ = level_;
    }
    if (in_event_)
        walk_.open(kind);
    level_++;
    if (at == Position::events && !is_event)
        events_level_ = level_;
    else if (at == Position::on_the_path && kind == JsonKind::object)
        path_level_ = level_;
    path_next_ = false;
    if (level_ > limits_.max_depth)
        return refuse(400, "JSON is nested deeper than " + std::to_string(limits_.max_depth) + " levels");
    return true;
}

bool EnvelopeReader::close(JsonKind kind, std::string_view raw)
{
    if (in_event_)
        walk_.close(kind, raw);
    if (level_ == events_level_)
        events_level_ = 0;
    if (level_ == path_level_ && path_level_ > 0)
        path_level_--;
    level_--;
    path_next_ = false;
    if (in_event_ && level_ == event_level_)
        finish_event(kind, raw);
    return true;
}

bool EnvelopeReader::begin_event()
{
    if (event_count_ >= limits_.max_events)
        return refuse(413, "more than " + std::to_string(limits_.max_events) + " events in one delivery");
    event_count_++;
    in_event_ = true;
    walk_.begin();
    return true;
}

void EnvelopeReader::finish_event(JsonKind kind, std::string_view raw)
{
    const std::uint32_t number = event_count_ - 1;

    in_event_ = false;
    if (kind != JsonKind::object)
        mapper_.refuse(raw, number, "22023", "event is not a JSON object");
    else if (delivery_.mapping)
        mapper_.map(walk_, raw, number);
}

/* False if the line is one event too many. */
bool read_line(Delivery &delivery, EnvelopeReader &reader, std::string_view line)
{
    reader.begin();
    const std::string broken = read_json(line, delivery.arena, reader);
    const std::string problem = broken.empty() ? reader.line_problem() : broken;
    return problem.empty() || reader.refuse_line(line, broken.empty() ? "22023" : "22P02", problem);
}

/* A line alone stands for its event, so that one that is no JSON harms no other. */
void read_lines(Delivery &delivery, EnvelopeReader &reader)
{
    const std::string_view body = delivery.body;

    for (std::size_t begin = 0, end; begin < body.size() && reader.refusal().status == 0; begin = end + 1) {
        end = std::min(body.find('\n', begin), body.size());
        const std::string_view line = body.substr(begin, end - begin);
        if (line.find_first_not_of(" \t\r") != line.npos && !read_line(delivery, reader, line))
            return;
    }
}

} // namespace

BodyRefusal parse_delivery(Delivery &delivery, std::shared_ptr<const Mapping> mapping,
                           const ParseLimits &limits)
{
    delivery.events.clear();
    delivery.unmapped.clear();
    delivery.collected_bytes = 0;
    delivery.arena.release();
    delivery.mapping = std::move(mapping);
    delivery.envelope = limits.envelope;

    if (!is_valid_utf8(delivery.body))
        return {400, "the body is not valid UTF-8"};

    EnvelopeReader reader(delivery, limits);
    std::string problem;
    if (delivery.dead_letter != 0)
        (void)read_line(delivery, reader, delivery.body);
    else if (limits.envelope.is_lines)
        read_lines(delivery, reader);
    else
        problem = read_json(delivery.body, delivery.arena, reader);
    BodyRefusal refusal = reader.refusal();
    if (refusal.status == 0 && !problem.empty())
        refusal = {400, problem};
    if (refusal.status == 0 && !reader.found_events())
        refusal = {400, reader.no_events()};
    if (refusal.status != 0 || !delivery.mapping)
        delivery.events.clear();
    return refusal;
}

} // namespace cxone_sync
