#include "core/parser.h"
#include "db/settings.h"

#include "db/catalog.h"
#include "db/held_delivery.h"

namespace cxone_sync {

namespace {

/* A delivery that lives as long as the memory context it was made in. */
struct HeldDelivery {
    MemoryContextCallback callback;
    Delivery *delivery;
};

void drop_delivery(void *held)
{
    delete static_cast<HeldDelivery *>(held)->delivery;
}

} // namespace

Delivery *make_delivery(const char *body)
{
    auto *held = static_cast<HeldDelivery *>(palloc0(sizeof(HeldDelivery)));

    held->callback.func = drop_delivery;
    held->callback.arg = held;
    MemoryContextRegisterResetCallback(CurrentMemoryContext, &held->callback);
    call_cpp([held, body] {
        held->delivery = new Delivery;
        held->delivery->body = body;
        held->delivery->received = now();
    });
    return held->delivery;
}

void parse_or_refuse(Delivery *delivery)
{
    char reason[256] = "";

    call_cpp([delivery, &reason] {
        const BodyRefusal refusal = parse_delivery(*delivery, current_mapping(), settings::parse_limits());
        if (refusal.status != 0)
            strlcpy(reason, refusal.reason.c_str(), sizeof(reason));
    });
    if (reason[0] != '\0')
        ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("delivery is refused: %s", reason),
                        errhint("A delivery looks like {\"events\": [{\"id\": \"c1\", \"timestamp\": "
                                "\"2026-01-02T03:04:05Z\"}]}.")));
}

} // namespace cxone_sync
