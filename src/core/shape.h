#pragma once

#include "core/pure_room.h"
#include "core/time_value.h"

#include <cstdint>
#include <optional>

namespace cxone_sync {

/* What becomes of a JSON value on its way to the input function of its column's type. */
enum class Shape : std::uint8_t {
    scalar,     /* the JSON text as it stands, as jsonb_populate_record() does it */
    boolean,    /* the same of types that true and false are values of, also as a key: boolean, enums */
    integer,    /* the same, but that a number is written with all its digits and no more (integer_text.h) */
    array,      /* a JSON array is rewritten as an array literal: {"a","b"} */
    json_array, /* the same, with elements that are JSON themselves */
    instant,    /* timestamptz, timestamp and date: times are read here (time_value.h) */
    local,
    date,
    instant_range, /* ranges and multiranges over these: their bounds are (range_text.h) */
    local_range,
    date_range,
    clock,  /* time and timetz: no words */
    record, /* a JSON object or array goes through json_populate_type() */
    json    /* json and jsonb: every value, strings too, goes in as JSON text */
};

/* What times of this shape are for; nothing if the shape is not one of times. */
constexpr std::optional<TimeKind> time_kind(Shape shape) noexcept
{
    switch (shape) {
    case Shape::instant:
        return TimeKind::instant;
    case Shape::local:
        return TimeKind::local;
    case Shape::date:
        return TimeKind::date;
    default:
        return std::nullopt;
    }
}

/* The same of a range's bounds. */
constexpr std::optional<TimeKind> bound_kind(Shape shape) noexcept
{
    switch (shape) {
    case Shape::instant_range:
        return TimeKind::instant;
    case Shape::local_range:
        return TimeKind::local;
    case Shape::date_range:
        return TimeKind::date;
    default:
        return std::nullopt;
    }
}

constexpr bool is_of_times(Shape shape) noexcept
{
    return time_kind(shape) || bound_kind(shape);
}

/* Whether values of this shape are rewritten also where they stand inside an array's or a row's. */
constexpr bool is_rewritten_inside(Shape shape) noexcept
{
    return shape == Shape::integer || is_of_times(shape);
}

} // namespace cxone_sync
