#include "db/guard.h"
#include "db/text.h"

namespace cxone_sync {

void clip_text(char *target, std::size_t size, std::string_view source)
{
    const int length =
        pg_mbcliplen(bytes_of(source), static_cast<int>(source.size()), static_cast<int>(size) - 1);

    memcpy(target, bytes_of(source), length);
    target[length] = '\0';
}

void take_error(PgError &error, MemoryContext caller_context)
{
    MemoryContextSwitchTo(caller_context);
    ErrorData *caught = CopyErrorData();
    FlushErrorState();
    error.sqlerrcode = judged_sqlerrcode(caught);
    clip_text(error.message, sizeof(error.message), caught->message);
    /* of a lock only the context tells which one */
    clip_text(error.detail, sizeof(error.detail),
              caught->detail == nullptr && caught->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ? caught->context
                                                                                            : caught->detail);
    clip_text(error.hint, sizeof(error.hint), caught->hint);
    clip_text(error.schema, sizeof(error.schema), caught->schema_name);
    clip_text(error.table, sizeof(error.table), caught->table_name);
    clip_text(error.column, sizeof(error.column), caught->column_name);
    clip_text(error.constraint, sizeof(error.constraint), caught->constraint_name);
    FreeErrorData(caught);
}

namespace {

void tell_field(int field, const char *text)
{
    if (text[0] != '\0')
        err_generic_string(field, text);
}

} // namespace

void raise(const PgError &error)
{
    ereport(ERROR,
            (errcode(error.sqlerrcode), errmsg_internal("%s", error.message),
             error.detail[0] ? errdetail_internal("%s", error.detail) : 0,
             error.hint[0] ? errhint("%s", error.hint) : 0, tell_field(PG_DIAG_SCHEMA_NAME, error.schema),
             tell_field(PG_DIAG_TABLE_NAME, error.table), tell_field(PG_DIAG_COLUMN_NAME, error.column),
             tell_field(PG_DIAG_CONSTRAINT_NAME, error.constraint)));
    pg_unreachable();
}

void begin_subtransaction()
{
    BeginInternalSubTransaction(nullptr);
    if (ExitOnAnyError)
        (void)set_config_option("exit_on_error", "off", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0,
                                false);
}

} // namespace cxone_sync
