/*
 * The wall between the rooms: src/core, src/http and src/cxone run on threads that must never call
 * PostgreSQL, so their headers refuse to be read after PostgreSQL's. Files in src/db and src/worker include
 * pure headers first and db/pg.h last.
 */
#ifdef POSTGRES_H
#error "this header belongs to a room without PostgreSQL: include it before db/pg.h"
#endif
