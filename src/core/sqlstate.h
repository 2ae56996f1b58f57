#pragma once

#include "core/pure_room.h"

#include <string_view>

namespace cxone_sync {

/* What an error says of its cause, and so who can do something about it. */
enum class ErrorKind {
    value,      /* a value that its column refuses */
    constraint, /* a row that a constraint refuses */
    target,     /* the table, its privileges, or what its owner's code refers to */
    raised,     /* by the owner's code, on purpose */
    other,      /* anything else that an event met */
    internal,   /* the server, or we, are wrong about something */
    extension,  /* not there, of another version, being restored */
    race,       /* rolled back by the server, most likely lost to another transaction: the same once more may
                   succeed at once */
    passing,    /* a lock, a cancel, a connection elsewhere: later it may succeed */
    server,     /* read-only, without resources, or broken: nothing succeeds before that has changed */
};

/* By the SQLSTATE: of all who judge errors, this is the only table. */
ErrorKind kind_of_error(std::string_view sqlstate) noexcept;

} // namespace cxone_sync
