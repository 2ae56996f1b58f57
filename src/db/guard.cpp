#include "db/guard.h"

namespace cxone_sync {

namespace {

/* Copies at most `size` - 1 bytes, never half a character. */
void copy_text(char *target, std::size_t size, const char *source)
{
    if (source == nullptr) {
        target[0] = '\0';
        return;
    }
    const int length = pg_mbcliplen(source, static_cast<int>(strlen(source)), static_cast<int>(size) - 1);
    memcpy(target, source, length);
    target[length] = '\0';
}

} // namespace

void take_error(PgError &error, MemoryContext caller_context)
{
    MemoryContextSwitchTo(caller_context);
    ErrorData *caught = CopyErrorData();
    FlushErrorState();
    error.sqlerrcode = caught->sqlerrcode;
    copy_text(error.message, sizeof(error.message), caught->message);
    copy_text(error.detail, sizeof(error.detail), caught->detail);
    copy_text(error.hint, sizeof(error.hint), caught->hint);
    copy_text(error.column, sizeof(error.column), caught->column_name);
    FreeErrorData(caught);
}

} // namespace cxone_sync
