#include "core/assignments.h"

#include <gtest/gtest.h>

namespace cxone_sync {
namespace {

TEST(Assignments, AreFound)
{
    for (const char *source : {
             "BEGIN NEW.changed := now(); RETURN NEW; END",
             "begin new.changed = now(); return new; end",
             "BEGIN\n  -- a comment\n  New . Changed\n:= now(); END",
             "BEGIN NEW.\"changed\" := now(); END",
             "BEGIN IF NEW.changed = OLD.changed THEN NEW.changed = now(); END IF; END",
             "BEGIN IF a THEN b := 1; ELSE NEW.changed = now(); END IF; END",
             "BEGIN SELECT now() INTO NEW.changed; END",
             "BEGIN SELECT a, now() INTO STRICT NEW.a, NEW.changed FROM t; END",
             "BEGIN a := 'it''s'; NEW.changed := a; END",
             "BEGIN <<here>> NEW.changed = now(); END",
             "BEGIN /* NEW.changed = old */ NEW.changed /* = */ = /* */ now(); END",
         })
        EXPECT_TRUE(assigns_field(source, "new", "changed")) << source;
    EXPECT_TRUE(assigns_field("BEGIN NEW.\"The Time\" := now(); END", "new", "The Time"));
}

TEST(Assignments, OtherMentionsAreNone)
{
    for (const char *source : {
             "",
             "BEGIN RETURN NEW; END",
             "BEGIN IF NEW.changed = OLD.changed THEN RETURN NULL; END IF; RETURN NEW; END",
             "BEGIN NEW.a := NEW.changed; NEW.b = NEW.changed; RETURN NEW; END",
             "BEGIN -- NEW.changed := now();\n RETURN NEW; END",
             "BEGIN /* NEW.changed := now(); */ RETURN NEW; END",
             "BEGIN RAISE NOTICE 'NEW.changed := now()'; RETURN NEW; END",
             "BEGIN NEW.changed_by := 1; NEW.unchanged := 2; RENEW.changed := 3; RETURN NEW; END",
             "BEGIN OLD.changed := now(); RETURN NEW; END",
             "BEGIN x.new.changed := now(); RETURN NEW; END",
             "BEGIN SELECT NEW.changed INTO a FROM t; SELECT a INTO b FROM t WHERE c > NEW.changed; END",
             "BEGIN INSERT INTO audit VALUES (NEW.id, NEW.changed); RETURN NEW; END",
             "BEGIN INSERT INTO s.audit (a, b) SELECT x, NEW.changed FROM t; RETURN NEW; END",
             "BEGIN NEW.changed",
             "BEGIN NEW",
             "BEGIN NEW.\"changed",
             "BEGIN NEW.\"CHANGED\" := now(); END",
             "'",
             "/*",
             "\"",
         })
        EXPECT_FALSE(assigns_field(source, "new", "changed")) << source;
}

} // namespace
} // namespace cxone_sync
