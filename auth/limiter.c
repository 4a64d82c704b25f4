/* limiter.c - see limiter.h. */
#include "auth/limiter.h"

#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "model/address.h"

/* What is counted: an IPv4 address or the first half of an IPv6 one. */
struct peer_key {
    unsigned char kind; /* 4, 6, or 0: no address */
    unsigned char bytes[8];
};

/* One address with the times of its last failures, all of them within one
 * window of the newest: what is older is dropped when the next one comes, so
 * 32 bits of milliseconds never wrap unseen. */
struct place {
    struct list link;   /* in order of last_ms, oldest first */
    struct place *next; /* in the slot */
    int64_t last_ms;
    uint32_t at_ms[AUTH_LIMITER_FAILURES]; /* a ring */
    struct peer_key key;
    unsigned char first, count; /* of the ring */
};

struct auth_limiter {
    struct list order;
    struct place **slots; /* owned */
    size_t mask;          /* of the slots */
    unsigned max, count;
    unsigned char hash_key[16];
};

/* Its address, without a zone. */
static bool read_peer(struct str peer, struct address *out)
{
    if (peer.n)
        peer.n = str_find(peer, '%');
    return address_read(peer, out);
}

static struct peer_key key_of(struct str peer)
{
    struct peer_key key = {0};
    struct address a;

    if (read_peer(peer, &a)) {
        key.kind = a.v6 ? 6 : 4;
        memcpy(key.bytes, a.bytes, a.v6 ? 8 : 4);
    }
    return key;
}

bool auth_limiter_counts(struct str peer)
{
    struct address a;

    return !read_peer(peer, &a) || address_is_public(&a);
}

static struct place **slot_of(const struct auth_limiter *l,
                              const struct peer_key *key)
{
    struct str bytes = str_from((const char *)key, sizeof(*key));

    return &l->slots[str_hash(bytes, l->hash_key) & l->mask];
}

/* Where the link to that key's place is, or would be. */
static struct place **find(const struct auth_limiter *l,
                           const struct peer_key *key)
{
    struct place **at = slot_of(l, key);

    while (*at && memcmp(&(*at)->key, key, sizeof(*key)) != 0)
        at = &(*at)->next;
    return at;
}

/* Forget failures that are no longer in the window that ends now. */
static void expire(struct place *p, int64_t now_ms)
{
    if (now_ms - p->last_ms >= AUTH_LIMITER_WINDOW_MS)
        p->count = 0;
    while (p->count > 0 &&
           (uint32_t)now_ms - p->at_ms[p->first] >= AUTH_LIMITER_WINDOW_MS) {
        p->first = (unsigned char)((p->first + 1) % AUTH_LIMITER_FAILURES);
        p->count--;
    }
}

/* A place for a new address: a fresh one, or the one that failed longest
 * ago.  NULL when there is neither memory nor a place to take. */
static struct place *take_place(struct auth_limiter *l)
{
    struct place *p = l->count < l->max ? mem_new(sizeof(*p)) : NULL;
    struct place **at;

    if (p) {
        l->count++;
        return p;
    }
    if (list_empty(&l->order))
        return NULL;
    p = LIST_OF(list_pop(&l->order), struct place, link);
    at = find(l, &p->key);
    *at = p->next;
    memset(p, 0, sizeof(*p));
    return p;
}

enum err auth_limiter_new(unsigned places, const unsigned char hash_key[16],
                          struct auth_limiter **out)
{
    struct auth_limiter *l;
    size_t slots = 1;

    *out = NULL;
    if (places == 0 || places > AUTH_LIMITER_PLACES)
        return E_RANGE;
    while (slots < places)
        slots *= 2;
    l = mem_new(sizeof(*l));
    if (!l)
        return E_NOMEM;
    l->slots = mem_new(slots * sizeof(struct place *));
    if (!l->slots) {
        mem_free(l);
        return E_NOMEM;
    }
    list_init(&l->order);
    l->mask = slots - 1;
    l->max = places;
    memcpy(l->hash_key, hash_key, sizeof(l->hash_key));
    *out = l;
    return E_OK;
}

bool auth_limiter_allow(struct auth_limiter *l, struct str peer, int64_t now_ms,
                        unsigned *retry_s)
{
    struct peer_key key = key_of(peer);
    struct place *p = *find(l, &key);
    uint32_t gone_ms;

    if (retry_s)
        *retry_s = 0;
    if (!p)
        return true;
    expire(p, now_ms);
    if (p->count < AUTH_LIMITER_FAILURES)
        return true;
    gone_ms = (uint32_t)now_ms - p->at_ms[p->first];
    if (retry_s)
        *retry_s = (AUTH_LIMITER_WINDOW_MS - gone_ms + 999) / 1000;
    return false;
}

void auth_limiter_fail(struct auth_limiter *l, struct str peer, int64_t now_ms)
{
    struct peer_key key = key_of(peer);
    struct place *p = *find(l, &key);
    struct place **slot;

    if (p) {
        list_remove(&p->link);
        expire(p, now_ms);
    } else {
        p = take_place(l);
        if (!p)
            return; /* no memory: the guess is not counted, nothing else */
        p->key = key;
        slot = slot_of(l, &key);
        p->next = *slot;
        *slot = p;
    }
    if (p->count == AUTH_LIMITER_FAILURES) { /* the oldest gives way */
        p->first = (unsigned char)((p->first + 1) % AUTH_LIMITER_FAILURES);
        p->count--;
    }
    p->at_ms[(p->first + p->count) % AUTH_LIMITER_FAILURES] = (uint32_t)now_ms;
    p->count++;
    p->last_ms = now_ms;
    list_push(&l->order, &p->link);
}

unsigned auth_limiter_count(const struct auth_limiter *l)
{
    return l->count;
}

void auth_limiter_free(struct auth_limiter **l)
{
    struct list *link;

    if (!*l)
        return;
    while ((link = list_pop(&(*l)->order)))
        mem_free(LIST_OF(link, struct place, link));
    mem_free((*l)->slots);
    mem_free(*l);
    *l = NULL;
}
