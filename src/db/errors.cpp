#include "core/sqlstate.h"

#include "db/errors.h"

namespace cxone_sync {

namespace {

ErrorKind kind_of(int sqlerrcode)
{
    return kind_of_error(unpack_sql_state(sqlerrcode));
}

template <std::size_t Count> bool comes_from(const ErrorData *error, const char *const (&files)[Count])
{
    for (const char *file : files) {
        if (error->filename != nullptr && strcmp(error->filename, file) == 0)
            return true;
    }
    return false;
}

} // namespace

bool is_transient(int sqlerrcode)
{
    const ErrorKind kind = kind_of(sqlerrcode);

    return kind == ErrorKind::race || kind == ErrorKind::passing || kind == ErrorKind::server;
}

bool concerns_everything(int sqlerrcode)
{
    const ErrorKind kind = kind_of(sqlerrcode);

    return kind == ErrorKind::extension || kind == ErrorKind::server || kind == ErrorKind::internal;
}

bool is_lost_race(int sqlerrcode)
{
    return kind_of(sqlerrcode) == ErrorKind::race;
}

bool is_fault_of_value(int sqlerrcode)
{
    const ErrorKind kind = kind_of(sqlerrcode);

    return kind == ErrorKind::value || kind == ErrorKind::constraint;
}

bool doubts_target(int sqlerrcode)
{
    return kind_of(sqlerrcode) == ErrorKind::target;
}

int judged_sqlerrcode(const ErrorData *error)
{
    static const char *const storage[] = {"md.c",   "smgr.c", "fd.c",      "bufmgr.c",
                                          "slru.c", "xlog.c", "buffile.c", "relmapper.c"};
    static const char *const ids[] = {"varsup.c", "multixact.c"};
    const int category = ERRCODE_TO_CATEGORY(error->sqlerrcode);

    if (comes_from(error, storage) && category != ERRCODE_INSUFFICIENT_RESOURCES)
        return ERRCODE_IO_ERROR;
    if (comes_from(error, ids) && category == ERRCODE_PROGRAM_LIMIT_EXCEEDED)
        return ERRCODE_INSUFFICIENT_RESOURCES;
    return error->sqlerrcode;
}

} // namespace cxone_sync
