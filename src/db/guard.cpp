#include "db/guard.h"

namespace cxone_sync {

void clip_text(char *target, std::size_t size, const char *source)
{
    if (source == nullptr) {
        target[0] = '\0';
        return;
    }
    const int length = pg_mbcliplen(source, static_cast<int>(strlen(source)), static_cast<int>(size) - 1);
    memcpy(target, source, length);
    target[length] = '\0';
}

namespace {

/*
 * Errors of the storage manager have the SQLSTATE that errno suggests to PostgreSQL (elog.c:
 * errcode_for_file_access), which may be that of a missing privilege. What they have in common is where they
 * come from.
 */
bool is_of_storage(const ErrorData *error)
{
    static const char *const files[] = {"md.c",   "smgr.c", "fd.c",      "bufmgr.c",
                                        "slru.c", "xlog.c", "buffile.c", "relmapper.c"};

    for (const char *file : files) {
        if (error->filename != nullptr && strcmp(error->filename, file) == 0)
            return true;
    }
    return false;
}

} // namespace

void take_error(PgError &error, MemoryContext caller_context)
{
    MemoryContextSwitchTo(caller_context);
    ErrorData *caught = CopyErrorData();
    FlushErrorState();
    error.sqlerrcode = caught->sqlerrcode;
    if (is_of_storage(caught) && ERRCODE_TO_CATEGORY(caught->sqlerrcode) != ERRCODE_INSUFFICIENT_RESOURCES)
        error.sqlerrcode = ERRCODE_IO_ERROR;
    clip_text(error.message, sizeof(error.message), caught->message);
    clip_text(error.detail, sizeof(error.detail), caught->detail);
    clip_text(error.hint, sizeof(error.hint), caught->hint);
    clip_text(error.column, sizeof(error.column), caught->column_name);
    clip_text(error.constraint, sizeof(error.constraint), caught->constraint_name);
    FreeErrorData(caught);
}

void raise(const PgError &error)
{
    ereport(ERROR, (errcode(error.sqlerrcode), errmsg_internal("%s", error.message),
                    error.detail[0] ? errdetail_internal("%s", error.detail) : 0,
                    error.hint[0] ? errhint("%s", error.hint) : 0,
                    error.column[0] ? err_generic_string(PG_DIAG_COLUMN_NAME, error.column) : 0));
    pg_unreachable();
}

} // namespace cxone_sync
