#pragma once

/* All that differs between PostgreSQL 14 and 18. Included by db/pg.h only. */

#if PG_VERSION_NUM < 140000
#error "cxone_sync needs PostgreSQL 14 or later"
#endif

namespace cxone_sync::compat {

/* Since 17 a wait event set belongs to a resource owner instead of a memory context; null: to the process. */
inline WaitEventSet *create_wait_event_set(int size)
{
#if PG_VERSION_NUM >= 170000
    return CreateWaitEventSet(nullptr, size);
#else
    return CreateWaitEventSet(TopMemoryContext, size);
#endif
}

/* Milliseconds after which statistics that were held back should be reported; 0: none are. */
inline long report_statistics(bool force)
{
#if PG_VERSION_NUM >= 150000
    return pgstat_report_stat(force);
#else
    /* 14 does not tell whether it held anything back; it does so for at most half a second */
    pgstat_report_stat(force);
    return force ? 0 : 1000;
#endif
}

/* Since 15 shared memory is requested in a hook. */
inline void request_shared_memory_at(void (*request)(void), void (**previous)(void))
{
#if PG_VERSION_NUM >= 150000
    *previous = shmem_request_hook;
    shmem_request_hook = request;
#else
    *previous = nullptr;
    request();
#endif
}

/* Since 17 there is a time limit for transactions, for every process: it ends the process. */
inline const char *transaction_timeout_setting()
{
#if PG_VERSION_NUM >= 170000
    return "transaction_timeout";
#else
    return nullptr;
#endif
}

/* Memory for the extra of a setting, which the server frees: since 16 in its own way. Null: none is left. */
inline void *allocate_setting(std::size_t size)
{
#if PG_VERSION_NUM >= 160000
    return guc_malloc(LOG, size);
#else
    return malloc(size);
#endif
}

/* Writes a record to the WAL that the next commit flushes; since 17 it can also flush it itself. */
inline void write_wal_message(const char *prefix)
{
#if PG_VERSION_NUM >= 170000
    LogLogicalMessage(prefix, "", 0, true, false);
#else
    LogLogicalMessage(prefix, "", 0, true);
#endif
}

/*
 * Whether commits wait for synchronous standbys: the checkpointer says so in shared memory (syncrep.c), in a
 * flag of its own until the minor versions of May 2025 (17.5, 16.9, 15.13, 14.18), then in a byte that also
 * tells whether it has come to that since the server's start. Before, the setting counts.
 */
inline bool synchronous_standbys_are_defined()
{
    const bool has_names = SyncRepStandbyNames != nullptr && SyncRepStandbyNames[0] != '\0';
#ifdef SYNC_STANDBY_DEFINED
    const auto status = const_cast<volatile WalSndCtlData *>(WalSndCtl)->sync_standbys_status;

    return (status & SYNC_STANDBY_INIT) != 0 ? (status & SYNC_STANDBY_DEFINED) != 0 : has_names;
#else
    return const_cast<volatile WalSndCtlData *>(WalSndCtl)->sync_standbys_defined || has_names;
#endif
}

inline void reserve_setting_prefix(const char *prefix)
{
#if PG_VERSION_NUM >= 150000
    MarkGUCPrefixReserved(prefix);
#else
    EmitWarningsOnPlaceholders(prefix);
#endif
}

/* Since 16 one function checks privileges on objects of every class. */
inline AclResult schema_aclcheck(Oid schema, Oid role, AclMode mode)
{
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(NamespaceRelationId, schema, role, mode);
#else
    return pg_namespace_aclcheck(schema, role, mode);
#endif
}

inline AclResult function_aclcheck(Oid function, Oid role)
{
#if PG_VERSION_NUM >= 160000
    return object_aclcheck(ProcedureRelationId, function, role, ACL_EXECUTE);
#else
    return pg_proc_aclcheck(function, role, ACL_EXECUTE);
#endif
}

/* Since 16 a member may be kept from SET ROLE. */
inline bool can_set_role(Oid member, Oid role)
{
#if PG_VERSION_NUM >= 160000
    return member_can_set_role(member, role);
#else
    return is_member_of_role(member, role);
#endif
}

/* Since 16 walkers are declared with their parameters. */
inline bool walk_expression(Node *node, bool (*walker)(Node *, void *), void *context)
{
#if PG_VERSION_NUM >= 160000
    return expression_tree_walker(node, walker, context);
#else
    return expression_tree_walker(node, reinterpret_cast<bool (*)()>(reinterpret_cast<void (*)()>(walker)),
                                  context);
#endif
}

/* Lets a set-returning function put its rows into a tuplestore. */
inline ReturnSetInfo *begin_result_set(FunctionCallInfo fcinfo)
{
    auto *result = reinterpret_cast<ReturnSetInfo *>(fcinfo->resultinfo);
#if PG_VERSION_NUM >= 150000
    InitMaterializedSRF(fcinfo, 0);
#else
    TupleDesc row;

    if (result == nullptr || !IsA(result, ReturnSetInfo) || !(result->allowedModes & SFRM_Materialize))
        ereport(ERROR, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
                        errmsg("set-valued function called in context that cannot accept a set")));
    MemoryContext old = MemoryContextSwitchTo(result->econtext->ecxt_per_query_memory);
    if (get_call_result_type(fcinfo, nullptr, &row) != TYPEFUNC_COMPOSITE)
        elog(ERROR, "return type must be a row type");
    result->returnMode = SFRM_Materialize;
    result->setResult =
        tuplestore_begin_heap((result->allowedModes & SFRM_Materialize_Random) != 0, false, work_mem);
    result->setDesc = row;
    MemoryContextSwitchTo(old);
#endif
    return result;
}

} // namespace cxone_sync::compat
