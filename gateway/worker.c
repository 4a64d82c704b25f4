/* worker.c - see worker.h. */
#include "gateway/worker.h"

#include "base/random.h"
#include "gateway/course.h"
#include "gateway/exchange.h"

enum err worker_init(struct worker *w, struct loop *loop, struct store *store,
                     struct pools *pools, struct conf *conf)
{
    unsigned char hash_key[16];
    enum err err;

    *w = (struct worker){.loop = loop, .store = store, .pools = pools};
    w->conf = conf_ref(conf);
    list_init(&w->open);
    list_init(&w->spare);
    quota_init(&w->quota);
    random_bytes(&w->boot, sizeof(w->boot));
    random_bytes(hash_key, sizeof(hash_key));
    err = arena_new(WORKER_SCRATCH_MAX, &w->scratch);
    if (err == E_OK)
        err = auth_limiter_new(AUTH_LIMITER_PLACES, hash_key, &w->limiter);
    return err;
}

void worker_set_conf(struct worker *w, struct conf *conf)
{
    struct conf *old = w->conf;

    w->conf = conf_ref(conf);
    conf_unref(&old);
}

void worker_clear(struct worker *w)
{
    course_drop_spare(w);
    auth_limiter_free(&w->limiter);
    arena_free(&w->scratch);
    conf_unref(&w->conf);
}
