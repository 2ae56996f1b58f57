# cxone_sync: PGXS builds and installs it; test/all and test/demo do everything else.

MODULE_big = cxone_sync
OBJS = $(patsubst %.cpp,%.o,$(wildcard src/*.cpp src/*/*.cpp))
EXTENSION = cxone_sync
DATA = $(wildcard sql/cxone_sync--*.sql)

# The tests need a server of their own, with the library preloaded: test/installcheck starts one.
NO_INSTALLCHECK = 1

# httplib's macros change the layout of its classes, so they have to be those it was built with.
HTTPLIB_FLAGS := $(shell pkg-config --cflags cpp-httplib)
HTTPLIB_LIBS := $(shell pkg-config --libs cpp-httplib)
PKG_LIBS := $(shell pkg-config --libs libcurl libssl libcrypto)

PG_CPPFLAGS = -I$(CURDIR)/src $(HTTPLIB_FLAGS)
PG_CXXFLAGS = -std=c++20 -pthread -fvisibility-inlines-hidden -Wextra -Wno-register -Wno-unused-parameter \
	-Wno-missing-field-initializers -MMD -MP $(COPT)
# PostgreSQL loads libraries with global symbols: the export list keeps ours, and those of the C++ libraries
# inlined into ours, from mixing with another extension's.
SHLIB_LINK = $(HTTPLIB_LIBS) $(PKG_LIBS) -lz -pthread -lstdc++ -Wl,--version-script=$(CURDIR)/src/exports.map

EXTRA_CLEAN = build $(OBJS:.o=.d) src/http/status_page.inc

# Bitcode lets the server inline functions into queries; there is nothing here to inline.
override with_llvm = no

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
include $(PGXS)

include src/http/status_page.mk
src/http/status_page.o: src/http/status_page.inc

# Each object depends on the headers it included last time.
-include $(OBJS:.o=.d)

$(shlib): src/exports.map

installcheck:
	PG_CONFIG=$(PG_CONFIG) test/installcheck

.PHONY: installcheck
