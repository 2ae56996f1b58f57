#pragma once

#include "db/text.h"

namespace cxone_sync {

/* A row that an SQL function returns: its columns, one after the other. */
class OutputRow {
public:
    void add(Datum value, bool is_null = false)
    {
        Assert(count_ < static_cast<int>(lengthof(values_)));
        values_[count_] = value;
        nulls_[count_++] = is_null;
    }
    void add_integer(std::uint64_t number) { add(Int64GetDatum(static_cast<std::int64_t>(number))); }
    /* null if empty */
    void add_text(std::string_view text) { add(text.empty() ? 0 : text_datum(text), text.empty()); }
    /* null if it has not come */
    void add_time(std::int64_t time) { add(TimestampTzGetDatum(time), time == 0); }
    void add_interval(std::int64_t microseconds, bool is_null = false)
    {
        auto *interval = static_cast<Interval *>(palloc0(sizeof(Interval)));

        interval->time = microseconds;
        add(IntervalPGetDatum(interval), is_null);
    }
    /* The function's declaration may be an earlier version's, with fewer columns: those come first. */
    void put(ReturnSetInfo *result)
    {
        Assert(result->setDesc->natts <= count_);
        tuplestore_putvalues(result->setResult, result->setDesc, values_, nulls_);
    }
    /* For a function that returns one row. */
    Datum make(TupleDesc row)
    {
        Assert(row->natts <= count_);
        return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(row), values_, nulls_));
    }

private:
    Datum values_[24];
    bool nulls_[24];
    int count_ = 0;
};

} // namespace cxone_sync
