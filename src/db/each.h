#pragma once

#include <type_traits>

#include "db/pg.h"

namespace cxone_sync {

/* The elements of a List, for a loop that does not change it: pointers, OIDs or integers, as T says. */
template <typename T> struct Each {
    struct Place {
        const ListCell *cell;

        T operator*() const
        {
            if constexpr (std::is_pointer_v<T>)
                return static_cast<T>(cell->ptr_value);
            else if constexpr (std::is_same_v<T, Oid>)
                return cell->oid_value;
            else
                return cell->int_value;
        }
        void operator++() { cell++; }
        bool operator!=(const Place &other) const { return cell != other.cell; }
    };

    const List *list;

    explicit Each(const List *all) : list(all) {}
    Place begin() const { return {list != NIL ? list->elements : nullptr}; }
    Place end() const { return {list != NIL ? list->elements + list->length : nullptr}; }
};

} // namespace cxone_sync
