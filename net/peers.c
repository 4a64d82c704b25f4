/* peers.c - see peers.h.
 *
 * A hash table under a key of its own, so that nobody can choose addresses
 * that meet.  It grows with the addresses, of which there are never more than
 * connections, and does not shrink. */
#include "net/peers.h"

#include "base/list.h"
#include "base/mem.h"
#include "base/random.h"

#define SLOTS_LEAST 64

struct peer_key {
    unsigned char v6;
    unsigned char bytes[8];
};

struct peer {
    struct list link; /* in its slot */
    struct peer_key key;
    unsigned count;
};

struct peers {
    struct list *slots; /* owned: struct peer */
    size_t mask;        /* of the slots */
    unsigned count;
    unsigned char hash_key[16];
};

static struct list *slot_of(struct peers *p, const struct peer_key *key)
{
    struct str bytes = str_from((const char *)key, sizeof(*key));

    return &p->slots[str_hash(bytes, p->hash_key) & p->mask];
}

MUST_USE static enum err set_slots(struct peers *p, size_t count)
{
    struct list *old = p->slots;
    size_t old_count = old ? p->mask + 1 : 0;
    struct list *link;

    p->slots = mem_malloc(count * sizeof(*p->slots));
    if (!p->slots) {
        p->slots = old;
        return E_NOMEM;
    }
    p->mask = count - 1;
    for (size_t i = 0; i < count; i++)
        list_init(&p->slots[i]);
    for (size_t i = 0; i < old_count; i++)
        while ((link = list_pop(&old[i]))) {
            struct peer *peer = LIST_OF(link, struct peer, link);

            list_push(slot_of(p, &peer->key), link);
        }
    mem_free(old);
    return E_OK;
}

enum err peers_new(struct peers **out)
{
    struct peers *p = *out = mem_new(sizeof(*p));

    if (!p)
        return E_NOMEM;
    random_bytes(p->hash_key, sizeof(p->hash_key));
    if (set_slots(p, SLOTS_LEAST) == E_OK)
        return E_OK;
    mem_free(p);
    *out = NULL;
    return E_NOMEM;
}

static struct peer *find(const struct list *slot, const struct peer_key *key)
{
    for (struct list *i = slot->next; i != slot; i = i->next) {
        struct peer *peer = LIST_OF(i, struct peer, link);

        if (memcmp(&peer->key, key, sizeof(*key)) == 0)
            return peer;
    }
    return NULL;
}

/* Without memory for more slots their lists are longer, that is all. */
static void grow(struct peers *p)
{
    enum err err = set_slots(p, (p->mask + 1) * 2);

    (void)err;
}

MUST_USE static enum err add(struct peers *p, const struct peer_key *key,
                             struct peer **out)
{
    struct peer *peer = *out = mem_new(sizeof(*peer));

    if (!peer)
        return E_NOMEM;
    if (p->count > p->mask)
        grow(p);
    peer->key = *key;
    list_push(slot_of(p, key), &peer->link);
    p->count++;
    return E_OK;
}

enum err peers_take(struct peers *p, const struct address *a, unsigned most,
                    struct peer **out)
{
    struct peer_key key = {.v6 = a->v6};
    struct peer *peer;
    enum err err = E_OK;

    *out = NULL;
    memcpy(key.bytes, a->bytes, a->v6 ? 8 : 4);
    peer = find(slot_of(p, &key), &key);
    if (peer && peer->count >= most)
        return E_FULL;
    if (!peer)
        err = add(p, &key, &peer);
    if (err)
        return err;
    peer->count++;
    *out = peer;
    return E_OK;
}

void peers_give(struct peers *p, struct peer **out)
{
    struct peer *peer = *out;

    *out = NULL;
    if (!peer || --peer->count)
        return;
    list_remove(&peer->link);
    mem_free(peer);
    p->count--;
}

unsigned peers_count(const struct peers *p)
{
    return p->count;
}

void peers_free(struct peers **out)
{
    if (!*out)
        return;
    mem_free((*out)->slots);
    mem_free(*out);
    *out = NULL;
}
