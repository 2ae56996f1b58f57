#pragma once

#include <exception>
#include <new>
#include <string_view>
#include <type_traits>

#include "db/errors.h"

/*
 * The two worlds of errors. PostgreSQL's ereport(ERROR) is a longjmp, which must not cross a frame with
 * destructors; a C++ exception must not cross PostgreSQL's frames.
 *
 * guarded() calls PostgreSQL from C++: an error becomes a return value. The callable and what it calls are
 * plain: no object with a destructor lives in a frame that calls PostgreSQL.
 *
 * call_cpp() calls C++ that does not call PostgreSQL from such a plain frame: an exception becomes an error.
 */
namespace cxone_sync {

/* An error as plain data, which outlives the memory context it was raised in. */
struct PgError {
    int sqlerrcode = 0;
    char message[1024] = "";
    char detail[512] = "";
    char hint[256] = "";
    char schema[NAMEDATALEN] = "";
    char table[NAMEDATALEN] = "";
    char column[NAMEDATALEN] = "";
    char constraint[NAMEDATALEN] = "";

    const char *sqlstate() const { return unpack_sql_state(sqlerrcode); }
};

/* Copies at most `size` - 1 bytes, never half a character. */
void clip_text(char *target, std::size_t size, std::string_view source);
inline void clip_text(char *target, std::size_t size, const char *source)
{
    clip_text(target, size, std::string_view(source != nullptr ? source : ""));
}

/*
 * Fills `error` from the error being caught and ends PostgreSQL's handling of it. To be called in PG_CATCH.
 */
void take_error(PgError &error, MemoryContext caller_context);

/* Raises `error` again. */
[[noreturn]] void raise(const PgError &error);

/* An error may leave a callable's frame by a longjmp, which runs no destructor. */
template <typename Callable> inline constexpr bool is_plain = std::is_trivially_destructible_v<Callable>;

/*
 * Begins a subtransaction in which an error can be caught, also where exit_on_error would make each the end
 * of the session; the setting is back when it ends.
 */
void begin_subtransaction();

template <typename Callable> bool guarded(PgError &error, Callable callable)
{
    static_assert(is_plain<Callable>);
    const MemoryContext context = CurrentMemoryContext;
    volatile bool ok = false;

    PG_TRY();
    {
        callable();
        ok = true;
    }
    PG_CATCH();
    {
        take_error(error, context);
    }
    PG_END_TRY();
    return ok;
}

/*
 * Runs `work` in a subtransaction and in `context`, and keeps what it did; returns whether it is kept. It is
 * rolled back if `work` returns false, or raises an error, which is in `error` then.
 */
template <typename Work> bool in_any_subtransaction(MemoryContext context, PgError &error, Work work)
{
    static_assert(is_plain<Work>);
    const ResourceOwner owner = CurrentResourceOwner;
    bool is_wanted = true;

    begin_subtransaction();
    MemoryContextSwitchTo(context);
    const bool ok = guarded(error, [&work, &is_wanted] {
        if constexpr (std::is_same_v<decltype(work()), bool>)
            is_wanted = work();
        else
            work();
    });
    const bool is_kept = ok && is_wanted;
    if (is_kept)
        ReleaseCurrentSubTransaction();
    else
        RollbackAndReleaseCurrentSubTransaction();
    MemoryContextSwitchTo(context);
    CurrentResourceOwner = owner;
    return is_kept;
}

template <typename Callable> void call_cpp(Callable callable)
{
    static_assert(is_plain<Callable>);
    enum { fine, out_of_memory, other } volatile problem = fine;
    char what[256] = "";

    try {
        callable();
    } catch (const std::bad_alloc &) {
        problem = out_of_memory;
    } catch (const std::exception &e) {
        problem = other;
        strlcpy(what, e.what(), sizeof(what));
    } catch (...) {
        problem = other;
    }
    /* only here, outside the handlers, may the longjmp start */
    if (problem == out_of_memory)
        ereport(ERROR, (errcode(ERRCODE_OUT_OF_MEMORY), errmsg("out of memory")));
    if (problem == other)
        ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("cxone_sync: C++ exception: %s", what)));
}

} // namespace cxone_sync
